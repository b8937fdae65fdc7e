"""Remember why attempts have not succeeded: how many, and an order for each reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from django_button_orders.client import ButtonError
from django_button_orders.client.exceptions import UNREACHABLE
from django_button_orders.delivery.attempt import Attempt
from django_button_orders.delivery.outcome import redacted, with_delay
from django_button_orders.delivery.verdicts import Result, Verdict, with_full_stop
from django_button_orders.models import ButtonOrder
from django_button_orders.printable import get_logger

logger = get_logger(__name__)

Reason = ButtonOrder.Reason
FAILURES = (Result.FAILED,)
REPETITIONS = (Result.RETRY, Result.PAUSE)


def final_verdict(attempt: Attempt) -> Verdict | None:
    """Return the verdict of a recorded attempt: a failure if it was the last one."""
    if attempt.verdict is None or attempt.delay is not None:
        return attempt.verdict
    return with_delay(attempt)[0]


@dataclass(kw_only=True)
class Trouble:
    """The attempts that ended for one reason, and the first of their orders."""

    reason: str
    order_id: str
    #: What Button answered about that order, or "" for an error of the shop's code,
    #: which may quote a customer.
    error: str = ""
    #: Whether the error is about the settings, so that it may be logged.
    is_of_settings: bool = False
    number: int = 0

    def describe(self, *, with_error: bool) -> str:
        what = f"{self.number:,} {self.reason}"
        if not self.order_id:
            return what
        such_as = "" if self.number == 1 else "such as "
        tells = with_error or self.is_of_settings
        said = f": {self.error.rstrip('.')}" if self.error and tells else ""
        return f"{what} ({such_as}order {self.order_id}{said})"


@dataclass
class Troubles:
    """
    The attempts that have failed or will be repeated, by result and reason.

    ``obstacle`` is why the latest attempts, ``in_a_row`` of them, did not get through
    to Button, or "" if the last one did. ``next_delay`` is the number of seconds until
    the first of those that will be repeated is due again.
    """

    by_cause: dict[tuple[Result, str], Trouble] = field(default_factory=dict)
    in_a_row: int = 0
    has_got_through: bool = False
    obstacle: str = ""
    next_delay: float | None = None

    def note(self, attempt: Attempt) -> None:
        """Note an attempt that is recorded."""
        verdict = final_verdict(attempt)
        if verdict is None or verdict.result is Result.RELEASE:
            return
        self.note_obstacle(attempt)
        if verdict.result not in FAILURES + REPETITIONS:
            return
        cause = (verdict.result, verdict.reason)
        if cause not in self.by_cause:
            is_ours = verdict.reason == Reason.INVALID
            self.by_cause[cause] = Trouble(
                reason=str(verdict.reason),
                order_id=attempt.row.order_id,
                error="" if is_ours else redacted(attempt, verdict.error),
                is_of_settings=verdict.result is Result.PAUSE and not attempt.calls,
            )
        self.by_cause[cause].number += 1
        if attempt.delay is not None:
            delays = [attempt.delay, self.next_delay]
            self.next_delay = min(delay for delay in delays if delay is not None)

    def note_obstacle(self, attempt: Attempt) -> None:
        """Note whether an attempt got through to Button. One without a call did not."""
        if not attempt.calls or attempt.verdict is None:
            return
        if attempt.verdict.reason != Reason.UNAVAILABLE:
            self.in_a_row, self.obstacle, self.has_got_through = 0, "", True
            return
        self.in_a_row += 1
        error = redacted(attempt, attempt.verdict.error)
        self.obstacle = describe_obstacle(attempt, error)

    def count(self, *results: Result) -> int:
        """Count the attempts with one of these results."""
        return sum(item.number for item in self.having(*results))

    def has_reason(self, reason: str, *results: Result) -> bool:
        """Return whether one of these results has a reason."""
        return any(item.reason == reason for item in self.having(*results))

    def describe(self, *results: Result, with_error: bool) -> str:
        """Return the reasons for these results, each with its number and an order."""
        return ", ".join(
            item.describe(with_error=with_error) for item in self.having(*results)
        )

    def having(self, *results: Result) -> list[Trouble]:
        """Return the troubles with one of these results, the most frequent first."""
        found = [item for cause, item in self.by_cause.items() if cause[0] in results]
        return sorted(found, key=lambda item: -item.number)

    def log(self, using: str) -> None:
        """Log in one line what has failed, and what will be retried."""
        failed = self.describe(*FAILURES, with_error=False)
        again = self.describe(*REPETITIONS, with_error=False)
        parts = {"failed": failed, "to be retried": again}
        texts = [f"{what}: {text}" for what, text in parts.items() if text]
        if texts:
            # What Button said is not logged, because it may quote what it was sent.
            logger.warning("Database %s: %s.", using, "; ".join(texts))


def describe_obstacle(attempt: Attempt, error: str) -> str:
    """Return a sentence that says why a call did not get through to Button."""
    if not isinstance(attempt.calls[-1].answer, ButtonError):
        return with_full_stop(f"Button is not available: {error}")
    if error == UNREACHABLE:
        return "Button cannot be reached."
    return with_full_stop(f"Button cannot be reached: {error}")
