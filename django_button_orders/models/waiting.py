"""What waited for an account's key."""

from __future__ import annotations

from django_button_orders.models.orders import ButtonOrder


def make_waiting_due(account: str, *, using: str | None) -> None:
    """
    Make due what waited for an account's key.

    What is not, because somebody else has locked it, is due within minutes.
    """
    waiting = ButtonOrder.objects.using(using).waiting().filter(account=account)
    unauthorized = waiting.filter(reason=ButtonOrder.Reason.UNAUTHORIZED)
    unauthorized.exclude(last_status_code=403).make_due()
