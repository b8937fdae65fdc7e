from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand

from django_button_orders.models import ButtonOrder
from shop.models import Order


class Command(BaseCommand):
    help = "Prints what the shop sold, and how its reports stand, as JSON."

    def handle(self, **options: Any) -> None:
        rows = {row.order_id: row for row in ButtonOrder.objects.all()}
        self.stdout.write(
            json.dumps(
                {
                    order.number: {
                        "status": order.status,
                        # In cents, as Button counts.
                        "total": int(order.total * 100),
                        "lines": sum(1 for line in order.lines.all() if line.kept),
                        "report": rows[order.number].status
                        if order.number in rows
                        else "none",
                    }
                    for order in Order.objects.prefetch_related("lines")
                }
            )
        )
