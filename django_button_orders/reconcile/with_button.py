"""
Compare our rows with Button's orders, one GET request for each.

Button may leave out values that it was sent, so only values that it shows count.
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
    describe_unknown_account,
    get_settings,
    may_receive_api_key,
)
from django_button_orders.delivery.attempt import Attempt
from django_button_orders.delivery.desired import Desired
from django_button_orders.delivery.outcome import redacted, submissions_of
from django_button_orders.delivery.verdicts import Result, knows_order
from django_button_orders.delivery.window import read_total
from django_button_orders.models import (
    CANCELLED_DIGEST,
    ButtonOrder,
    Difference,
    PausedAccount,
    Submission,
)
from django_button_orders.models.accounts import PAUSE_SECONDS
from django_button_orders.models.clock import from_now
from django_button_orders.models.erasing import forget_answers
from django_button_orders.models.keyset import Keyset
from django_button_orders.models.orders import is_late_token
from django_button_orders.reconcile.findings import Finding, PageResult
from django_button_orders.reconcile.questions import Questions, is_unanswered
from django_button_orders.reconcile.rows import (
    CANCELLED,
    NOT_FIXABLE,
    OPEN,
    WAITING,
    find_unchanged,
    token_values,
)
from django_button_orders.reconcile.values import (
    as_button_shows,
    as_shown,
    find_certain_differences,
    flatten,
)
from django_button_orders.report.objects import HALF, without_btn_ref
from django_button_orders.report.privacy import describe_for_list

Kind = Difference.Kind
Status = ButtonOrder.Status
# Button may answer 202 and apply an order later, so recent reports are not compared.
RECENT_SECONDS = 60
FINALIZED, DELETED = "finalized", "deleted"


@dataclass(kw_only=True)
class AcknowledgedRows:
    """The comparison of one account's acknowledged rows with Button's orders."""

    account: str
    rows: QuerySet[ButtonOrder]
    using: str
    questions: Questions

    side = Difference.Side.BUTTON

    @property
    def label_with_database(self) -> str:
        return f"account {self.account} in {self.using}"

    @property
    def keyset(self) -> Keyset:
        rows = self.rows.filter(
            account=self.account,
            status__in=[Status.REPORTED, Status.CANCELLED],
            # Button has never seen an order that was cancelled before its first report.
            reported_revision__isnull=False,
        )
        return Keyset(objects=rows)

    @cached_property
    def settings(self) -> Settings:
        return get_settings(self.account)

    def compare(self, page: list[ButtonOrder]) -> PageResult:
        result = PageResult(ended=self.find_obstacle())
        if result.ended:
            return result
        attempts = self.prepare(page, result)
        answered: dict[int, Attempt] = {}
        for asked in self.questions.ask(list(attempts.values())):
            self.save_submissions(asked)
            answered |= {a.row.pk: a for a in asked if is_answered(a)}
        self.compare_answers(answered.values(), result)
        result.ended = self.questions.ended
        is_complete = not result.ended and not self.questions.is_stopped()
        for row in page:
            if row.pk in attempts and row.pk not in answered:
                if not is_complete:
                    break
                result.fail(row.order_id, "Button did not answer.")
            result.done += 1
        return result

    def find_obstacle(self) -> str:
        """Return the reason why Button cannot be asked about this account, or ""."""
        if self.account not in account_names():
            return describe_unknown_account(self.account)
        if not self.settings.enabled:
            return "ENABLED is False, so no call is made."
        if not self.settings.api_key:
            return "API_KEY is not set."
        if not may_receive_api_key(self.settings.base_url):
            return "BASE_URL must start with 'https://'."
        paused = PausedAccount.objects.using(self.using).filter(account=self.account)
        return (
            "The account is paused because Button refused its API key. Correct "
            "API_KEY, and resume the account."
            if paused.exists()
            else ""
        )

    def prepare(
        self, page: list[ButtonOrder], result: PageResult
    ) -> dict[int, Attempt]:
        """Return an attempt at a question for each row that has a valid report."""
        attempts = {}
        for row in page:
            try:
                report = None if is_cancelled(row) else row.as_report()
            except ValidationError as exc:
                result.fail(row.order_id, describe_for_list(exc, "The row"))
                continue
            attempts[row.pk] = Attempt(
                row=row,
                # A question changes no row, so it needs no lease.
                lease_ends=float("inf"),
                trigger=Submission.Trigger.RECONCILE,
                settings=self.settings,
                desired=Desired(order_id=row.order_id, report=report),
            )
        return attempts

    def save_submissions(self, asked: list[Attempt]) -> None:
        """Save the calls, and pause the account if Button refused its key."""
        rows = ButtonOrder.objects.using(self.using)
        keys = [attempt.row.pk for attempt in asked]
        # A row that was deleted since it was read gets no submissions.
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
        present = [item.row.pk for item in asked if item.row.erased_at is None]
        forget_answers(present, using=self.using)

    def compare_answers(self, attempts: Iterable[Attempt], result: PageResult) -> None:
        findings = []
        for attempt in attempts:
            row = attempt.row
            outcome = compare_answer(attempt)
            if outcome is None:
                result.agree((row.account, row.order_id))
            elif isinstance(outcome, str):
                result.fail(row.order_id, outcome)
            else:
                findings.append(outcome)
        rows = [finding.row for finding in findings if finding.row is not None]
        certain = self.find_certain(rows) if rows else set()
        for finding in findings:
            if finding.row is not None and finding.row.pk in certain:
                result.add(finding)
            else:
                result.counts[WAITING] += 1

    def find_certain(self, rows: list[ButtonOrder]) -> set[int]:
        """
        Return the keys of the rows whose difference from Button is certain.

        These have not changed since they were read. None was reported in the last
        ``RECENT_SECONDS``, in which Button may not have applied the report.
        """
        unchanged = find_unchanged(rows, using=self.using)
        recent = ButtonOrder.objects.using(self.using).filter(
            pk__in=unchanged, reported_at__gt=from_now(-RECENT_SECONDS)
        )
        return unchanged - set(recent.values_list("pk", flat=True))


def is_answered(attempt: Attempt) -> bool:
    verdict = attempt.verdict
    is_paused = verdict is not None and verdict.result is Result.PAUSE
    return not is_paused and not is_unanswered(attempt)


def is_cancelled(row: ButtonOrder) -> bool:
    return bool(row.reported_digest == CANCELLED_DIGEST)


def compare_answer(attempt: Attempt) -> Finding | str | None:
    """
    Compare a row with Button's answer about its order.

    Return a finding, or the reason why they cannot be compared, or None if they agree.
    """
    row, answer = attempt.row, attempt.calls[-1].answer
    assert attempt.verdict is not None  # noqa: S101 - it was answered
    if attempt.verdict.error or not isinstance(answer, Answer):
        return redacted(attempt, attempt.verdict.error)
    if is_cancelled(row):
        state = answer.order.get("status")
        if state in (OPEN, FINALIZED):
            values = {"status": [CANCELLED, state]}
            total = read_total(answer.order, attempt.settings)
            return as_finding(row, Kind.ACTIVE, values, known_total=total)
        return None
    if knows_order(answer) is False:
        return as_finding(row, Kind.UNKNOWN)
    if answer.order.get("status") == DELETED:
        values = {"status": [OPEN, DELETED]}
        digest = CANCELLED_DIGEST
        return as_finding(row, Kind.DELETED, values, known_digest=digest, known_total=0)
    return compare_values(attempt, answer.order)


def compare_values(attempt: Attempt, order: dict[str, Any]) -> Finding | str | None:
    if not order:
        return "Button's answer does not show the order."
    assert attempt.desired is not None  # noqa: S101 - prepare() sets it
    row = attempt.row
    theirs = flatten(order)
    payload = without_btn_ref(attempt.desired.payload)
    ours = as_button_shows(
        payload, theirs, total_as_decimal=attempt.settings.total_as_decimal
    )
    paths = find_certain_differences(ours, theirs)
    others = [path for path in paths if path[0] != "customer"]
    if not others and (not paths or row.has_refused_customer):
        return compare_tokens(row, order)
    # If only the customer differs, Button may refuse it, which is no failure.
    known_digest = "" if others else row.reported_digest[:HALF]
    values = as_shown(paths, ours, theirs)
    total = read_total(order, attempt.settings) if others else row.reported_total
    return as_finding(
        row, Kind.DIFFERENT, values, known_digest=known_digest, known_total=total
    )


def compare_tokens(row: ButtonOrder, order: dict[str, Any]) -> Finding | None:
    """Return a finding if Button has tied another token, or none, to an order."""
    # Button need not show the token. Then the one that it was told of counts.
    tied = row.reported_btn_ref
    if "btn_ref" in order:
        tied = "" if order["btn_ref"] is None else order["btn_ref"]
    if not isinstance(tied, str) or not is_late_token(row.btn_ref, tied):
        return None
    values = token_values(row.btn_ref, tied)
    return as_finding(row, Kind.TOKEN, values, error=NOT_FIXABLE)


def as_finding(
    row: ButtonOrder,
    kind: str,
    values: dict[str, list[Any]] | None = None,
    *,
    known_digest: str = "",
    known_total: int | None = None,
    error: str = "",
) -> Finding:
    difference = Difference(
        side=Difference.Side.BUTTON,
        kind=kind,
        account=row.account,
        order_id=row.order_id,
        source_type_id=row.source_type_id,
        source_id=row.source_id,
        values=values or {},
        error=error,
    )
    # The acknowledged digest is wrong, so the worker must not compare with it.
    return Finding(
        difference=difference,
        row=row,
        known_digest=known_digest,
        known_total=known_total,
    )
