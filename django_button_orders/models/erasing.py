"""
Erase the personal data of one order, and keep what says that it was reported.

The row, its submissions, its differences and its token are erased in one transaction. A
worker may hold the row. Its lease then gets ``erased_token()``, so that nothing the
worker has in memory can be written as it is: ``delivery.record`` erases it, and then
records it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID, uuid5

from django.core.exceptions import ValidationError
from django.db import transaction

from django_button_orders.models.clock import DatabaseNow
from django_button_orders.models.differences import Difference
from django_button_orders.models.orders import CANCELLED_DIGEST, ButtonOrder
from django_button_orders.models.querysets import StateQuerySet
from django_button_orders.models.submissions import Submission
from django_button_orders.models.tokens import AttributionToken
from django_button_orders.report.erasing import as_untold

Status = ButtonOrder.Status


def erased_token(token: UUID) -> UUID:
    """Return the token that a lease has from when its row is erased."""
    return uuid5(token, "erased")


def erase_rows(rows: StateQuerySet[ButtonOrder], *, tell_button: bool = False) -> int:
    """Erase some rows one by one, and return how many were not erased before."""
    pks = list(rows.values_list("pk", flat=True))
    erased = [erase_row(pk, rows, tell_button=tell_button) for pk in pks]
    return sum(row is not None for row in erased)


def erase_row(
    pk: Any, orders: StateQuerySet[ButtonOrder], *, tell_button: bool = False
) -> ButtonOrder | None:
    """
    Erase the personal data of a row, its submissions and its differences.

    Return the row as it is then, or None if it is not among the ``orders`` or was
    erased before. With ``tell_button``, it becomes due if Button acknowledged the
    erased values and may still accept changes. Otherwise it causes no call.
    """
    using = orders.db
    with transaction.atomic(using=using):
        rows = ButtonOrder.objects.using(using).filter(pk=pk)
        # A write comes first, because it locks the row in every database.
        erasable = orders.filter(pk=pk, erased_at__isnull=True)
        if not erasable.update(erased_at=DatabaseNow()):
            return None
        # Inserting a submission waits for this lock. A plain write does not stop it.
        row = rows.select_for_update().get()
        is_news = tell_button and may_change(row)
        values = erased_values(row, is_news=is_news)
        needs_call = is_news and values["erased_digest"] != row.reported_digest
        if row.lease_token is not None:
            values["lease_token"] = erased_token(row.lease_token)
            needs_call = tell_button
        rows.update(**values)
        if needs_call:
            rows.mark_changed()
        Submission.objects.using(using).filter(button_order=pk).update(
            request_body="", response_body="", error="", has_bodies=False
        )
        Difference.objects.using(using).filter(
            account=row.account, order_id=row.order_id
        ).update(values={}, error="")
        tokens = AttributionToken.objects.using(using)
        tokens.of_order(row.source_type_id, row.source_id).delete()
        return rows.get()


def forget_answers(pks: Collection[Any], *, using: str) -> None:
    """
    Empty Button's answers to questions about rows that were erased meanwhile.

    Call it for rows that were not erased when they were read, after the answers are
    committed: a later erasing finds them itself.
    """
    rows = ButtonOrder.objects.using(using).filter(pk__in=pks)
    erased = list(rows.filter(erased_at__isnull=False).values_list("pk", flat=True))
    if erased:
        answers = Submission.objects.using(using).filter(
            button_order__in=erased,
            operation=Submission.Operation.RETRIEVE,
            has_bodies=True,
        )
        answers.update(response_body="", error="", has_bodies=False)


def may_change(row: ButtonOrder) -> bool:
    """Return whether Button has a row's order and may still accept changes of it."""
    rows = row.row().filter(status__in=[Status.REPORTED, Status.PENDING])
    closed = rows.filter(finalizes_at__lte=DatabaseNow())
    return row.is_acknowledged and rows.exists() and not closed.exists()


def erased_values(row: ButtonOrder, *, is_news: bool) -> dict[str, Any]:
    """
    Return the values of a row that is erased, and change the row to them.

    The digest of what Button has acknowledged stays. If that is what the row says, the
    digest without the personal data counts as acknowledged, too, so that nothing is
    sent. If it ``is_news``, that is marked as still to be told.
    """
    is_acknowledged = has_acknowledged_values(row)
    for name, value in row.personal_fields_erased().items():
        setattr(row, name, value)
    erased_digest = digest_of(row) if is_acknowledged else ""
    # Without a customer, an order may be the same as before.
    if is_news and erased_digest not in ("", row.reported_digest):
        erased_digest = as_untold(erased_digest)
    return {
        **row.personal_fields_erased(),
        "reported_btn_ref": None if row.reported_btn_ref is None else "",
        "has_late_token": False,
        "late_token_at": None,
        "last_error": "",
        "erased_digest": erased_digest,
    }


def has_acknowledged_values(row: ButtonOrder) -> bool:
    """Return whether Button has acknowledged the report that a row has on record."""
    if row.reported_digest == CANCELLED_DIGEST:
        return False
    digest = digest_of(row)
    return bool(digest) and row.has_settled(digest)


def digest_of(row: ButtonOrder) -> str:
    """Return the digest of the report that a row has on record, or "" without one."""
    try:
        return row.as_report().digest()
    except ValidationError:
        return ""
