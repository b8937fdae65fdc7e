"""How fast a command works through orders."""

from __future__ import annotations

from django_button_orders.management.stopping import Stop


class Pace:
    """At most so many orders per second, with no wait once it is told to end."""

    def __init__(self, rate: float | None, stop: Stop) -> None:
        self.rate = rate
        self.stop = stop

    def keep(self, orders: int, *, seconds: float) -> None:
        """Wait for what is left of the time of so many orders, done in ``seconds``."""
        if self.rate is not None:
            self.stop.wait(max(orders / self.rate - seconds, 0))
