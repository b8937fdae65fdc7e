"""
Preview the next call about an order: its body, what differs, and a curl command.

The preview prepares an attempt by the worker's own code, and rolls everything back.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace
from shlex import quote
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, transaction
from django.utils.translation import gettext_lazy as _

from django_button_orders.admin.base import keep_bodies_days
from django_button_orders.admin.compare import Line, compare
from django_button_orders.admin.formatting import clip, indent_json
from django_button_orders.admin.warn import warn_of_report
from django_button_orders.client.answers import parse_object
from django_button_orders.client.api import ButtonClient, Request
from django_button_orders.delivery import verdicts
from django_button_orders.delivery.attempt import Attempt
from django_button_orders.delivery.call import make_request, payload_for
from django_button_orders.delivery.outcome import redacted
from django_button_orders.delivery.prepare import prepare
from django_button_orders.delivery.verdicts import Result
from django_button_orders.models import CANCELLED_DIGEST, ButtonOrder, Submission
from django_button_orders.report.objects import without_btn_ref
from django_button_orders.report.privacy import describe_exception

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

# Headers that curl sets itself, and the one with the key.
OMITTED_HEADERS = ("Authorization", "Accept-Encoding")

Operation = Submission.Operation
Reason = ButtonOrder.Reason

CALLS: dict[str, _StrPromise] = {
    Operation.CREATE: _("The order would be created at Button."),
    Operation.UPDATE: _("The order would be updated at Button, with its full state."),
    Operation.CANCEL: _("The order would be cancelled at Button."),
    Operation.RETRIEVE: _(
        "An earlier call got no definite answer, so Button would first be asked "
        "whether it has this order. Then the order would be created or "
        "updated, if needed."
    ),
}
NO_CALLS: dict[Result, _StrPromise] = {
    Result.REPORTED: _(
        "Nothing would be sent: Button has already acknowledged this state."
    ),
    Result.CANCELLED: _(
        "Nothing would be sent: Button does not have the order, or has cancelled it."
    ),
    Result.CLOSED: _("Nothing would be sent, because it is too late: %(error)s"),
    Result.FAILED: _("Nothing would be sent. The order would fail: %(error)s"),
    Result.DISMISSED: _(
        "Nothing would be sent. The order would be dismissed: %(error)s"
    ),
    Result.RETRY: _("Nothing would be sent. The order would wait: %(error)s"),
    Result.PAUSE: _("Nothing would be sent. The account would be paused: %(error)s"),
}
NO_TOKEN = _(
    "Nothing would be sent. The order would be dismissed: it has no attribution "
    "token, and REPORT_WITHOUT_TOKEN is false."
)
CUSTOMER_REFUSED = _(
    "Nothing would be sent: Button accepts no more changes of this "
    "order, and keeps the earlier customer."
)
OF_OTHER_SITE = _(
    "Nothing would be sent from here: the site %(site)s reports this order."
)
NEVER = _("Button has not acknowledged this order yet.")
CANCELLED = _("Button has acknowledged that the order is cancelled.")
NOT_ON_RECORD = _(
    "The last acknowledged report is not stored here: it was learned by "
    "asking Button, or it was pruned."
)
PRUNED = _(
    "The last acknowledged report cannot be compared, because it was "
    "pruned: bodies are kept for %(days)d days."
)


@dataclass(frozen=True, kw_only=True)
class Acknowledged:
    """The payload that Button last acknowledged, or the reason why it is missing."""

    payload: dict[str, Any] | None = None
    missing: str = ""


@dataclass(kw_only=True)
class Preview:
    """
    The call that a worker would make for an order now, or why it would make none.

    ``is_trouble`` is true if a person has to act. ``warning`` is what is wrong although
    the report succeeds. ``payload`` is the body of the call. ``full_payload`` is what
    the shop reports, with the token, which only a create sends, and in minor units.
    """

    sentence: str
    is_trouble: bool = False
    warning: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    full_payload: dict[str, Any] = field(default_factory=dict)
    total_as_decimal: bool = False
    call: str = ""
    curl: str = ""
    acknowledged: Acknowledged

    @property
    def text(self) -> str:
        return clip(indent_json(self.payload)) if self.payload else ""

    @property
    def lines(self) -> list[Line]:
        """The fields in which the payload differs from the acknowledged one."""
        before = self.acknowledged.payload
        if before is None or not self.payload:
            return []
        # Only a create sends the token, so an update without it does not differ.
        lines = compare(without_btn_ref(before), without_btn_ref(self.payload))
        return [line for line in lines if line.kind != "same"]

    @property
    def is_comparable(self) -> bool:
        return self.acknowledged.payload is not None and bool(self.payload)


def preview(order: ButtonOrder) -> Preview:
    """
    Return the call that an attempt would make now, without making it.

    A rollback undoes what the adapter and the attempt write to the order's database.
    """
    using = order.write_db
    acknowledged = find_acknowledged(order)
    try:
        with transaction.atomic(using=using):
            try:
                attempt = prepare(rehearse_claim(order))
            finally:
                transaction.set_rollback(True, using=using)
    except (DatabaseError, InterfaceError, ImproperlyConfigured) as exc:
        is_ours = isinstance(exc, ImproperlyConfigured)
        error = str(exc) if is_ours else describe_exception(exc, "The database")
        return Preview(sentence=error, is_trouble=True, acknowledged=acknowledged)
    built = build_preview(attempt, acknowledged)
    if order.is_of_other_site:
        # The command would make the call that nobody is to make from here.
        sentence = str(OF_OTHER_SITE) % {"site": order.site}
        return replace(built, sentence=sentence, is_trouble=True, call="", curl="")
    return built


def rehearse_claim(order: ButtonOrder) -> Attempt:
    """Return the attempt that a claim would start, without claiming the row."""
    row = order.row().first() or copy(order)
    row.attempts = 1
    if row.lease_token is None:
        row.unanswered += 1
    return Attempt(row=row, lease_ends=float("inf"), trigger="admin")


def build_preview(attempt: Attempt, acknowledged: Acknowledged) -> Preview:
    """Return the preview of a prepared attempt."""
    operation, verdict = attempt.next_operation, attempt.verdict
    if verdict is None:
        request = make_request(attempt, operation)
        shown = Operation.CREATE if operation == Operation.RETRIEVE else operation
        return Preview(
            sentence=str(CALLS[operation]),
            warning=find_warning(attempt, is_known=operation == Operation.UPDATE),
            payload=payload_for(attempt, shown),
            full_payload=attempt.desired.payload if attempt.desired else {},
            total_as_decimal=attempt.settings.total_as_decimal,
            call=f"{request.method} {attempt.client.url(request)}",
            curl=as_curl(attempt.client, request),
            acknowledged=acknowledged,
        )
    text = NO_CALLS[verdict.result]
    if verdict.reason == Reason.NO_TOKEN:
        text = NO_TOKEN
    is_kept = verdict is verdicts.CUSTOMER_KEPT
    is_reported = verdict.result is Result.REPORTED
    if is_kept or (is_reported and attempt.row.has_refused_customer):
        text = CUSTOMER_REFUSED
    return Preview(
        sentence=str(text) % {"error": redacted(attempt, verdict.error)},
        is_trouble=verdict.result not in verdicts.SUCCESSES,
        warning=find_warning(attempt, is_known=True),
        payload=payload_for(attempt, Operation.UPDATE),
        full_payload=attempt.desired.payload if attempt.desired else {},
        total_as_decimal=attempt.desired is not None
        and attempt.settings.total_as_decimal,
        acknowledged=acknowledged,
    )


def find_warning(attempt: Attempt, *, is_known: bool) -> str:
    """Return the warnings about the report of an attempt, or "" without a report."""
    report = attempt.desired.report if attempt.desired else None
    return warn_of_report(attempt.row, report, is_known=is_known) if report else ""


def find_acknowledged(order: ButtonOrder) -> Acknowledged:
    """Return the body of the last create or update that succeeded."""
    if not order.is_acknowledged:
        return Acknowledged(missing=str(NEVER))
    if order.reported_digest == CANCELLED_DIGEST:
        return Acknowledged(missing=str(CANCELLED))
    operations = (Operation.CREATE, Operation.UPDATE)
    submissions = Submission.objects.using(order._state.db).filter(
        button_order=order,
        operation__in=operations,
        outcome=Submission.Outcome.SUCCEEDED,
    )
    last = submissions.order_by("-started_at", "-pk").first()
    if last is None:
        return Acknowledged(missing=str(NOT_ON_RECORD))
    if not last.request_body:
        days = keep_bodies_days()
        pruned = NOT_ON_RECORD if days is None else PRUNED
        return Acknowledged(missing=str(pruned) % {"days": days})
    payload = parse_object(last.request_body)
    return Acknowledged(payload=payload or {})


def as_curl(client: ButtonClient, request: Request) -> str:
    """Return a shell command that makes a call, with the key as a variable."""
    headers = {
        name: value
        for name, value in client.headers().items()
        if name not in OMITTED_HEADERS
    }
    parts = ["curl", f"-X {request.method}", '-u "$BUTTON_API_KEY:"']
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    parts += [f"-H {quote(f'{name}: {value}')}" for name, value in headers.items()]
    if request.body is not None:
        parts.append(f"--data-raw {quote(request.body.decode())}")
    parts.append(quote(client.url(request)))
    return " \\\n  ".join(parts)
