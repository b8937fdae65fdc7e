"""Report rows in a command, and print the outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from django.core.management.base import CommandError

from django_button_orders.conf import get_settings
from django_button_orders.delivery.sweep import SweepLimits, report_due
from django_button_orders.delivery.troubles import FAILURES, REPETITIONS, Troubles
from django_button_orders.delivery.verdicts import Result
from django_button_orders.management.base import Stop, counted, in_words
from django_button_orders.management.unfinished import HeldBack, count_paused, explain
from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.models.states import Reason

# After this number of attempts in a row that did not get through, or two for each
# connection, Button is away.
MANY_IN_A_ROW = 5

# The error itself may quote a customer, so a terminal does not show it.
MEND_INVALID = (
    "The page of an invalid order in the admin shows its error. Correct the adapter or "
    f"the order, then run button_orders_retry --reason {Reason.INVALID}."
)


class Reporting:
    """
    Reports rows for a command, and counts how that ends.

    It tells at once if nothing gets through to Button. If that goes on, it stops: the
    other rows stay due.
    """

    def __init__(
        self, *, trigger: str, stop: Stop, tell: Callable[[str], object]
    ) -> None:
        self.trigger = trigger
        self.stop = stop
        self.tell = tell
        self.outcomes: Counter[str] = Counter()
        self.troubles = Troubles()
        self.held_back: HeldBack = Counter()
        # The number of rows that were not tried because nothing got through.
        self.left = 0
        self.has_told = False

    @property
    def is_away(self) -> bool:
        """Whether Button is away, so that no more rows should be tried."""
        in_a_row = self.troubles.in_a_row
        return in_a_row >= MANY_IN_A_ROW and in_a_row >= 2 * get_settings().concurrency

    def report(
        self, rows: ButtonOrderQuerySet, progress: Callable[[], object] = lambda: None
    ) -> int:
        """Report the due rows of a selection. Return how many attempts were made."""
        outcomes: Counter[str] = Counter()

        def note(outcome: str) -> None:
            progress()
            self.tell_of_obstacle()

        if not self.is_away:
            outcomes = report_due(
                using=rows.db,
                rows=rows,
                trigger=self.trigger,
                progress=note,
                limits=SweepLimits(
                    is_stopped=lambda: self.stop.is_set or self.is_away,
                    troubles=self.troubles,
                ),
            )
        if self.is_away:
            self.left += rows.due().count()
            del outcomes[Result.RELEASE.value]
        self.outcomes += outcomes
        self.held_back += count_paused(rows)
        return outcomes.total()

    def tell_of_obstacle(self) -> None:
        """Tell once that nothing gets through, as soon as that is seen."""
        troubles = self.troubles
        if troubles.obstacle and not (self.has_told or troubles.has_got_through):
            self.has_told = True
            self.tell(troubles.obstacle)

    def fail_unless_done(self) -> None:
        """Raise ``CommandError`` if orders have failed, or are still pending."""
        if complaints := list(self.find_complaints()):
            raise CommandError(" ".join(complaints))

    def find_complaints(self) -> Iterator[str]:
        troubles = self.troubles
        if failed := troubles.count(*FAILURES):
            need = "needs" if failed == 1 else "need"
            why = troubles.describe(*FAILURES, with_error=True)
            yield f"{counted(failed, 'order')} failed and {need} attention: {why}."
            if troubles.has_reason(Reason.INVALID, *FAILURES):
                yield MEND_INVALID
        if again := troubles.count(*REPETITIONS):
            yield from self.explain_repetitions(again)
        if left := self.left or self.outcomes[Result.RELEASE.value]:
            was, it = ("was", "it") if left == 1 else ("were", "them")
            yield (
                f"{counted(left, 'order')} {was} not attempted. The next sweep reports "
                f"{it}, or run the command again."
            )
        if self.held_back:
            yield explain(self.held_back)

    def explain_repetitions(self, again: int) -> Iterator[str]:
        """Yield sentences about the orders that will be retried: when, and why."""
        troubles = self.troubles
        when = ""
        if troubles.next_delay is not None:
            first = "" if again == 1 else "the first "
            when = f", {first}in {in_words(troubles.next_delay)}"
        what = f"{counted(again, 'order')} will be retried{when}"
        if troubles.obstacle and not troubles.has_got_through:
            yield troubles.obstacle
            yield f"{what}."
        else:
            yield f"{what}: {troubles.describe(*REPETITIONS, with_error=True)}."
