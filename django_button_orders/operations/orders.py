"""
Retry, overwrite, cancel, dismiss or erase Button orders for an operator.

``run_action`` is the way in; it locks, changes and logs the rows, and rings for
them. ``queue`` leaves the same to the next sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import router, transaction
from django.db.models import Model
from django.utils.translation import gettext_lazy as _

from django_button_orders import doorbell
from django_button_orders.models import ButtonOrder
from django_button_orders.models.encoding import escape_all, is_refusal
from django_button_orders.models.erasing import erase_rows
from django_button_orders.models.orders import ButtonOrderQuerySet

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


TRIGGER = "admin"
# The rows of a transaction while an operator waits. A sweep's have MANY rows.
BATCH_SIZE = 100
WITH_NOTE = _("%(what)s Note: %(note)s")
# The value of ``django.contrib.admin.models.CHANGE``, which a project without
# Django's admin cannot import.
CHANGE = 2


class ActionSpec(NamedTuple):
    """An action: the rows it applies to, its UPDATE, and its text in the log."""

    applicable: Callable[[ButtonOrderQuerySet], ButtonOrderQuerySet]
    update: Callable[..., int]
    log_message: _StrPromise
    takes_note: bool = False
    makes_due: bool = True


ACTIONS = {
    "retry": ActionSpec(
        ButtonOrderQuerySet.retryable, ButtonOrderQuerySet.retry, _("Retried.")
    ),
    "overwrite": ActionSpec(
        ButtonOrderQuerySet.taken,
        ButtonOrderQuerySet.overwrite,
        _("Reported over another order at Button."),
    ),
    "cancel": ActionSpec(
        ButtonOrderQuerySet.cancellable,
        ButtonOrderQuerySet.cancel,
        _("Cancellation requested."),
    ),
    "dismiss": ActionSpec(
        ButtonOrderQuerySet.failed,
        ButtonOrderQuerySet.dismiss,
        _("Dismissed."),
        takes_note=True,
        makes_due=False,
    ),
    "erase": ActionSpec(
        ButtonOrderQuerySet.not_erased,
        erase_rows,
        _("Personal data erased."),
        makes_due=False,
    ),
    # The same, and Button is told where it still accepts changes.
    "erase_and_tell": ActionSpec(
        ButtonOrderQuerySet.not_erased,
        partial(erase_rows, tell_button=True),
        _("Personal data erased, also at Button where it accepts changes."),
    ),
}


def run_action(
    name: str, pks: Sequence[int], *, using: str, user_id: Any, note: str = ""
) -> int:
    """
    Apply an action to orders now, and add a log entry for each.

    Return the number of orders to which it applied.
    """
    action = BulkAction(name, using=using, user_id=user_id, note=note)
    if len(pks) == 1:
        return len(action.apply(pks))
    return sum(map(action.apply_to_batch, split(pks, BATCH_SIZE)))


def retry_many(orders: ButtonOrderQuerySet, *, trigger: str) -> int:
    """
    Make failed, dismissed and closed orders due, with a fresh set of attempts.

    Rings once: the worker that gets the ring also reports the other due orders.
    """
    pk = orders.retryable().values_list("pk", flat=True).first()
    retried = orders.retry()
    if retried and pk is not None:
        doorbell.ring(pk, using=orders.db, trigger=trigger)
    return retried


def split(pks: Sequence[int], size: int) -> list[Sequence[int]]:
    return [pks[start : start + size] for start in range(0, len(pks), size)]


class BulkAction:
    """
    One action of one user, applied to orders.

    ``rings_each`` rings for each order, with the user; otherwise one ring stands for
    a batch, and only the log entries have the user.
    """

    def __init__(
        self,
        name: str,
        *,
        using: str,
        user_id: Any,
        note: str = "",
        rings_each: bool = True,
    ) -> None:
        self.spec = ACTIONS[name]
        self.using = using
        self.user_id = user_id
        self.note = note
        self.rings_each = rings_each

    def apply_to_batch(self, pks: Sequence[int]) -> int:
        """
        Apply the action to the free rows together, then to locked ones one by one.

        Return the number of orders to which it applied.
        """
        changed = self.apply(pks, skips_locked=True)
        left = self.rows(set(pks).difference(changed))
        applicable = self.spec.applicable(left).order_by("pk")
        # A shop may hold one of these rows and want another. A transaction of one row
        # holds nothing that the shop could want.
        for pk in list(applicable.values_list("pk", flat=True)):
            changed += self.apply([pk])
        return len(changed)

    def apply(self, pks: Sequence[int], *, skips_locked: bool = False) -> list[int]:
        """
        Lock, change and log the orders, and ring for them, in one transaction.

        Return the keys of the orders to which the action applied.
        """
        with transaction.atomic(using=self.using):
            applicable = self.spec.applicable(self.rows(pks)).order_by("pk")
            locked = applicable.select_for_update()
            if skips_locked:
                locked = locked.unlocked()
            orders = list(locked.only("pk", "order_id"))
            changed = [order.pk for order in orders]
            if changed:
                notes = [self.note] if self.spec.takes_note else []
                self.spec.update(self.rows(changed), *notes)
                self.log(orders)
                self.ring(changed)
        return changed

    def rows(self, pks: Iterable[int]) -> ButtonOrderQuerySet:
        return ButtonOrder.objects.using(self.using).filter(pk__in=pks)

    def log(self, orders: list[ButtonOrder]) -> None:
        """Add a log entry for each order, with one statement."""
        what, note = self.spec.log_message, self.note
        message = str(WITH_NOTE % {"what": what, "note": note} if note else what)
        save_entries(
            [new_entry(self.user_id, order.pk, str(order), message) for order in orders]
        )

    def ring(self, pks: list[int]) -> None:
        if not self.spec.makes_due:
            return
        user_id = str(self.user_id)
        for pk in pks if self.rings_each else pks[:1]:
            doorbell.ring(pk, using=self.using, trigger=TRIGGER, user_id=user_id)


def log_change(item: Model, user_id: Any, message: str) -> Any:
    """Add a log entry about a row of any of our models, and return it."""
    entry = new_entry(user_id, item.pk, str(item), message, model=type(item))
    save_entries([entry])
    return entry


def log_request(user_id: Any, name: str, message: str) -> Any:
    """Add a log entry about no single order, and return it with its key."""
    entry = new_entry(user_id, None, name, message)
    save_entries([entry])
    return entry


def new_entry(
    user_id: Any,
    pk: int | None,
    name: str,
    message: str,
    *,
    model: type[Model] = ButtonOrder,
) -> Any:
    entries = log_entries()
    kind = ContentType.objects.db_manager(entries.db).get_for_model(model)
    return entries.model(
        user_id=user_id,
        content_type_id=kind.pk,
        object_id=None if pk is None else str(pk),
        object_repr=name[:200],
        action_flag=CHANGE,
        change_message=message,
    )


def save_entries(entries: list[Any]) -> None:
    """
    Save log entries, with escapes for the characters that their table lacks.

    The table is Django's, and in MySQL it may have an old charset.
    """
    try:
        insert_entries(entries)
    except Exception as exc:
        if not is_refusal(exc):
            raise
        for entry in entries:
            entry.object_repr = escape_all(entry.object_repr)[:200]
            entry.change_message = escape_all(entry.change_message)
        insert_entries(entries)


def insert_entries(entries: list[Any]) -> None:
    using = log_entries().db
    # An error in PostgreSQL would end the transaction that this is in.
    with transaction.atomic(using=using):
        if len(entries) == 1:
            # bulk_create() does not return the key on every database.
            entries[0].save(using=using)
        else:
            log_entries().bulk_create(entries)


def log_entries() -> Any:
    """Return the log entries of Django's admin, which a project may do without."""
    model = apps.get_model("admin", "LogEntry")
    return model.objects.using(router.db_for_write(model))
