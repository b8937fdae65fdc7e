"""
Our rows against Button: does it know what we think that it knows?

It may leave out what it was sent: only what differs for certain is a difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from django_button_orders.client.answers import Answer
from django_button_orders.conf import (
    Settings,
    account_names,
    get_settings,
    keeps_secrets,
)
from django_button_orders.delivery.attempt import Attempt
from django_button_orders.delivery.desired import Desired
from django_button_orders.delivery.outcome import (
    PAUSE_SECONDS,
    redacted,
    submissions_of,
)
from django_button_orders.delivery.verdicts import Result
from django_button_orders.models import (
    CANCELLED_DIGEST,
    ButtonOrder,
    Difference,
    PausedAccount,
    Submission,
)
from django_button_orders.models.clock import from_now
from django_button_orders.models.keyset import Keyset
from django_button_orders.reconcile.findings import Finding, PageResult
from django_button_orders.reconcile.questions import Questions, is_unanswered
from django_button_orders.reconcile.rows import CANCELLED, OPEN, WAITING, unmoved
from django_button_orders.reconcile.values import certainly_differing, flat, shown
from django_button_orders.report.payload import with_decimals, without_btn_ref
from django_button_orders.report.privacy import describe_for_list

Kind = Difference.Kind
Status = ButtonOrder.Status
# What was reported just now may be on its way within Button: it answers 202, too.
SETTLING_SECONDS = 60
FINALIZED, DELETED = "finalized", "deleted"


@dataclass(kw_only=True)
class AcknowledgedRows:
    """The rows of one account that Button has acknowledged, compared with its own."""

    account: str
    rows: QuerySet[ButtonOrder]
    using: str
    questions: Questions

    side = Difference.Side.BUTTON

    @property
    def label(self) -> str:
        return f"{self.account} in {self.using}"

    @property
    def keyset(self) -> Keyset:
        rows = self.rows.filter(
            account=self.account,
            status__in=[Status.REPORTED, Status.CANCELLED],
            # Of one that was cancelled before it was sent, Button knows nothing.
            reported_revision__isnull=False,
        )
        return Keyset(objects=rows)

    @cached_property
    def settings(self) -> Settings:
        return get_settings(self.account)

    def compare(self, page: list[ButtonOrder]) -> PageResult:
        found = PageResult(ended=self.obstacle())
        if found.ended:
            return found
        attempts = self.attempts(page, found)
        answered: dict[int, Attempt] = {}
        for asked in self.questions.ask(list(attempts.values())):
            self.write_down(asked)
            answered |= {a.row.pk: a for a in asked if is_answered(a)}
        self.judge_all(answered.values(), found)
        found.ended = self.questions.ended
        is_through = not found.ended and not self.questions.is_stopped()
        for row in page:
            if row.pk in attempts and row.pk not in answered:
                if not is_through:
                    break
                found.fail(row.order_id, "Button did not answer.")
            found.done += 1
        return found

    def obstacle(self) -> str:
        """Return what keeps us from asking Button about this account, if anything."""
        if self.account not in account_names():
            return "It is not an account of the settings any more."
        if not self.settings.enabled:
            return "ENABLED is false, so nothing is sent."
        if not self.settings.api_key:
            return "API_KEY is not set."
        if not keeps_secrets(self.settings.base_url):
            return "BASE_URL must start with 'https://'."
        paused = PausedAccount.objects.using(self.using).filter(account=self.account)
        return "Its key was refused, and it is paused." if paused.exists() else ""

    def attempts(
        self, page: list[ButtonOrder], found: PageResult
    ) -> dict[int, Attempt]:
        attempts = {}
        for row in page:
            try:
                report = None if is_cancelled(row) else row.as_report()
            except ValidationError as exc:
                found.fail(row.order_id, describe_for_list(exc, "The row"))
                continue
            attempts[row.pk] = Attempt(
                row=row,
                # It has no lease, and writes nothing that would need one.
                lease_ends=float("inf"),
                trigger=Submission.Trigger.RECONCILE,
                settings=self.settings,
                desired=Desired(order_id=row.order_id, report=report),
            )
        return attempts

    def write_down(self, asked: list[Attempt]) -> None:
        rows = ButtonOrder.objects.using(self.using)
        keys = [attempt.row.pk for attempt in asked]
        # One that was deleted meanwhile stays deleted, and so does its history.
        here = set(rows.filter(pk__in=keys).values_list("pk", flat=True))
        submissions = []
        for attempt in asked:
            verdict = attempt.verdict
            if verdict is None:
                continue
            if attempt.row.pk in here:
                submissions += submissions_of(attempt, verdict)
            if verdict.result is Result.PAUSE:
                PausedAccount.objects.using(self.using).pause(
                    self.account,
                    seconds=PAUSE_SECONDS,
                    error=redacted(attempt, verdict.error),
                )
        Submission.objects.using(self.using).bulk_create(submissions)

    def judge_all(self, attempts: Iterable[Attempt], found: PageResult) -> None:
        findings = []
        for attempt in attempts:
            row = attempt.row
            judged = compare_answer(attempt)
            if judged is None:
                found.agree((row.account, row.order_id))
            elif isinstance(judged, str):
                found.fail(row.order_id, judged)
            else:
                findings.append(judged)
        rows = [finding.row for finding in findings if finding.row is not None]
        certain = self.settled(rows) if rows else set()
        for finding in findings:
            if finding.row is not None and finding.row.pk in certain:
                found.add(finding)
            else:
                found.counts[WAITING] += 1

    def settled(self, rows: list[ButtonOrder]) -> set[int]:
        """Return the keys of rows that were neither changed nor reported just now."""
        unchanged = unmoved(rows, using=self.using)
        recent = ButtonOrder.objects.using(self.using).filter(
            pk__in=unchanged, reported_at__gt=from_now(-SETTLING_SECONDS)
        )
        return unchanged - set(recent.values_list("pk", flat=True))


def is_answered(attempt: Attempt) -> bool:
    verdict = attempt.verdict
    is_paused = verdict is not None and verdict.result is Result.PAUSE
    return not is_paused and not is_unanswered(attempt)


def is_cancelled(row: ButtonOrder) -> bool:
    return row.reported_digest == CANCELLED_DIGEST


def compare_answer(attempt: Attempt) -> Finding | str | None:
    """Return what differs, or why that cannot be told, or None if nothing does."""
    row, answer = attempt.row, attempt.exchanges[-1].answer
    assert attempt.verdict is not None  # noqa: S101 - it is answered
    if attempt.verdict.error or not isinstance(answer, Answer):
        return redacted(attempt, attempt.verdict.error)
    if is_cancelled(row):
        state = answer.order.get("status")
        if state in (OPEN, FINALIZED):
            return finding(row, Kind.ACTIVE, {"status": [CANCELLED, state]})
        return None
    if answer.status_code == 404:
        return finding(row, Kind.UNKNOWN)
    if answer.order.get("status") == DELETED:
        values = {"status": [OPEN, DELETED]}
        return finding(row, Kind.DELETED, values, known_digest=CANCELLED_DIGEST)
    return judge_values(attempt, answer.order)


def judge_values(attempt: Attempt, order: dict[str, Any]) -> Finding | str | None:
    if not order:
        return "Button's answer does not show the order."
    assert attempt.desired is not None  # noqa: S101 - see attempts()
    theirs = flat(order)
    payload = without_btn_ref(attempt.desired.payload)
    candidates = [flat(payload)]
    if attempt.settings.total_as_decimal:
        # In which of the two Button returns amounts is not published.
        candidates.append(flat(with_decimals(payload)))
    ours = min(candidates, key=lambda item: len(certainly_differing(item, theirs)))
    paths = certainly_differing(ours, theirs)
    if not paths:
        return None
    return finding(attempt.row, Kind.DIFFERENT, shown(paths, ours, theirs))


def finding(
    row: ButtonOrder,
    kind: str,
    values: dict[str, list[Any]] | None = None,
    *,
    known_digest: str = "",
) -> Finding:
    difference = Difference(
        side=Difference.Side.BUTTON,
        kind=kind,
        account=row.account,
        order_id=row.order_id,
        source_type_id=row.source_type_id,
        source_id=row.source_id,
        values=values or {},
    )
    # What Button has is not what it has acknowledged, so no digest stands for it.
    return Finding(difference=difference, row=row, known_digest=known_digest)
