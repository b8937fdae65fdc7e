"""A program that forks while its first ring is under way, as a server may."""

from __future__ import annotations

import os
import threading

from django_button_orders import doorbell
from django_button_orders.doorbell import Ring

PATIENCE_SECONDS = 60
# ``slow_transport`` sets the first, and waits for the second.
importing, forking = threading.Event(), threading.Event()


def main() -> int:
    [bell] = doorbell._bells
    # This runs before the hook of the bell, which was registered earlier.
    os.register_at_fork(before=forking.set)
    doorbell.ring_now(Ring(1, "default"))
    importing.wait(PATIENCE_SECONDS)
    child = os.fork()
    doorbell.ring_now(Ring(2, "default"))
    bell.wait(PATIENCE_SECONDS)
    has_rung = bell.is_idle() and bell.publisher.connection is not None
    if child == 0:
        os._exit(0 if has_rung else 1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status if has_rung else 2
