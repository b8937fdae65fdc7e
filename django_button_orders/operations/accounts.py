"""Letting paused accounts go on."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, transaction

from django_button_orders import doorbell
from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.querysets import PausedAccountQuerySet
from django_button_orders.models.waiting import make_waiting_due


def resume_accounts(
    paused: PausedAccountQuerySet, *, trigger: str, user_id: str | None = None
) -> list[PausedAccount]:
    """
    Let accounts go on whose key has been corrected, and return those resumed.

    Once that is committed, what waited for the key is due. A key that is still
    refused costs no attempt: the first answer pauses its account again.
    """
    resumed = []
    for pause in paused:
        # A worker may have found out just now that the key works again.
        if paused.filter(pk=pause.pk).delete()[0]:
            go_on_after_commit(pause, trigger=trigger, user_id=user_id)
            resumed.append(pause)
    return resumed


def go_on_after_commit(
    pause: PausedAccount, *, trigger: str, user_id: str | None
) -> None:
    using = pause._state.db or DEFAULT_DB_ALIAS

    def go_on() -> None:
        make_waiting_due(pause.account, using=using)
        rows = ButtonOrder.objects.using(using).due().filter(account=pause.account)
        due = rows.order_by("next_attempt_at", "pk").first()
        if due is not None:
            # Who answers a ring reports what else is due.
            doorbell.ring(due.pk, using=using, trigger=trigger, user_id=user_id)

    transaction.on_commit(go_on, using=using, robust=True)
