from __future__ import annotations

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver
from shop.models import Order, OrderLine

from benchmarks.naive.tasks import report_to_button


@receiver(post_save, sender=Order)
def order_saved(instance: Order, *, raw: bool = False, **kwargs: Any) -> None:
    if not raw:
        report_to_button.delay_on_commit(instance.pk)


@receiver(post_save, sender=OrderLine)
def line_saved(instance: OrderLine, *, raw: bool = False, **kwargs: Any) -> None:
    if not raw:
        report_to_button.delay_on_commit(instance.order_id)
