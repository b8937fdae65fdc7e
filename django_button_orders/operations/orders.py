"""
Retrying, cancelling and dismissing many orders, with a log entry for each.

What is asked of many orders is done in batches, each in a transaction of its own
that waits for nobody: a shop that holds one of the rows may want another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import connections, router, transaction
from django.utils.translation import gettext_lazy as _

from django_button_orders import doorbell
from django_button_orders.models import ButtonOrder
from django_button_orders.models.querysets import MANY, ButtonOrderQuerySet

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


TRIGGER = "admin"
NOTED = _("%(what)s Note: %(note)s")
# What Django's admin calls it; its models need not be there.
CHANGE = 2


class ActionSpec(NamedTuple):
    """What can be asked of orders: of which, and how it is done and logged."""

    applicable: Callable[[ButtonOrderQuerySet], ButtonOrderQuerySet]
    do: Callable[..., int]
    logged: _StrPromise
    takes_note: bool = False
    makes_due: bool = True


ACTIONS = {
    "retry": ActionSpec(
        ButtonOrderQuerySet.retryable, ButtonOrderQuerySet.retry, _("Retried.")
    ),
    "cancel": ActionSpec(
        ButtonOrderQuerySet.cancellable,
        ButtonOrderQuerySet.cancel,
        _("Cancellation asked for."),
    ),
    "dismiss": ActionSpec(
        ButtonOrderQuerySet.failed,
        ButtonOrderQuerySet.dismiss,
        _("Dismissed."),
        takes_note=True,
        makes_due=False,
    ),
}


def in_batches(pks: Sequence[int], size: int = MANY) -> list[Sequence[int]]:
    return [pks[start : start + size] for start in range(0, len(pks), size)]


class BulkAction:
    """
    Does one thing, asked for by one person, to many orders.

    ``rings_each`` lets a worker know of each order who asked for it; without, one
    ring stands for a batch, and the log entries alone tell.
    """

    def __init__(
        self,
        verb: str,
        *,
        using: str,
        user_id: Any,
        note: str = "",
        rings_each: bool = True,
    ) -> None:
        self.move = ACTIONS[verb]
        self.using = using
        self.user_id = user_id
        self.note = note
        self.rings_each = rings_each

    def move_batch(self, pks: Sequence[int]) -> int:
        """Return how many orders have moved: others were not what was asked for."""
        moved = self.move_free(pks)
        left = set(pks).difference(moved)
        if left:
            # Somebody else may hold one of these. One at a time, we hold nothing
            # that they want.
            waiting = self.move.applicable(self.rows([*left]))
            for pk in list(waiting.order_by("pk").values_list("pk", flat=True)):
                moved += self.move_free([pk], waits=True)
        return len(moved)

    def move_free(self, pks: Sequence[int], *, waits: bool = False) -> list[int]:
        features = connections[self.using].features
        skips = features.has_select_for_update_skip_locked and not waits
        with transaction.atomic(using=self.using):
            applicable = self.move.applicable(self.rows(pks)).order_by("pk")
            locked = applicable.select_for_update(skip_locked=skips)
            orders = list(locked.only("pk", "order_id"))
            moved = [order.pk for order in orders]
            if moved:
                notes = [self.note] if self.move.takes_note else []
                self.move.do(self.rows(moved), *notes)
                self.log(orders)
                self.ring(moved)
        return moved

    def rows(self, pks: Sequence[int]) -> ButtonOrderQuerySet:
        return ButtonOrder.objects.using(self.using).filter(pk__in=pks)

    def log(self, orders: list[ButtonOrder]) -> None:
        log(
            self.user_id,
            [(order.pk, str(order)) for order in orders],
            described(self.move, self.note),
        )

    def ring(self, pks: list[int]) -> None:
        if not self.move.makes_due:
            return
        user_id = str(self.user_id)
        for pk in pks if self.rings_each else pks[:1]:
            doorbell.ring(pk, using=self.using, trigger=TRIGGER, user_id=user_id)


def described(move: ActionSpec, note: str) -> str:
    return str(NOTED % {"what": move.logged, "note": note} if note else move.logged)


def log(user_id: Any, objects: Sequence[tuple[int, str]], message: str) -> None:
    """Write into the admin's log, with one statement."""
    entries = log_entries()
    new = [new_entry(user_id, pk, name, message) for pk, name in objects]
    entries.bulk_create(new)


def log_one(user_id: Any, name: str, message: str) -> Any:
    """Write one entry about no order. Return it, with its key."""
    # Not every database says which keys it gave to many.
    entry = new_entry(user_id, None, name, message)
    entry.save(using=log_entries().db)
    return entry


def new_entry(user_id: Any, pk: int | None, name: str, message: str) -> Any:
    entries = log_entries()
    kind = ContentType.objects.db_manager(entries.db).get_for_model(ButtonOrder)
    return entries.model(
        user_id=user_id,
        content_type_id=kind.pk,
        object_id=None if pk is None else str(pk),
        object_repr=name[:200],
        action_flag=CHANGE,
        change_message=message,
    )


def log_entries() -> Any:
    # Not imported: a project may do without Django's admin.
    model = apps.get_model("admin", "LogEntry")
    return model.objects.using(router.db_for_write(model))


def move_as_logged(verb: str, pks: Sequence[int], *, using: str, entry_id: int) -> None:
    """
    Do to many orders what somebody has asked for.

    An entry of the admin's log says who, and with which note: neither goes through
    a broker. Without it, what was asked for was taken back.
    """
    entry = log_entries().filter(pk=entry_id).first()
    if entry is None:
        return
    mover = BulkAction(
        verb,
        using=using,
        user_id=entry.user_id,
        note=entry.change_message,
        rings_each=False,
    )
    for batch in in_batches(pks):
        mover.move_batch(batch)


def retry_many(orders: ButtonOrderQuerySet, *, trigger: str) -> int:
    """
    Make failed and dismissed orders due, with a fresh set of attempts.

    One ring stands for all of them: whoever answers it reports what else is due.
    """
    pk = orders.retryable().values_list("pk", flat=True).first()
    moved = orders.retry()
    if moved and pk is not None:
        doorbell.ring(pk, using=orders.db, trigger=trigger)
    return moved
