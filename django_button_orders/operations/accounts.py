"""Resume accounts that were paused because Button refused their API key."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, transaction

from django_button_orders import doorbell
from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.accounts import PausedAccountQuerySet


def resume_accounts(
    paused: PausedAccountQuerySet, *, trigger: str, user_id: str | None = None
) -> list[PausedAccount]:
    """
    Resume accounts whose API key was corrected, and return the resumed ones.

    After the commit, the orders that waited for the key are due. If Button still
    refuses the key, its first answer pauses the account again, and no order loses an
    attempt.
    """
    resumed = []
    for pause in paused:
        # A worker may have lifted the pause since it was read.
        if paused.filter(pk=pause.pk).delete()[0]:
            make_due_after_commit(pause, trigger=trigger, user_id=user_id)
            resumed.append(pause)
    return resumed


def make_due_after_commit(
    pause: PausedAccount, *, trigger: str, user_id: str | None
) -> None:
    using = pause._state.db or DEFAULT_DB_ALIAS

    def make_due() -> None:
        rows = ButtonOrder.objects.using(using).filter(account=pause.account)
        rows.make_unauthorized_due()
        due = rows.due().order_by("next_attempt_at", "pk").first()
        if due is not None:
            # The worker that gets the ring also reports the other due orders.
            doorbell.ring(due.pk, using=using, trigger=trigger, user_id=user_id)

    transaction.on_commit(make_due, using=using, robust=True)
