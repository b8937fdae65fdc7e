"""Print the shop's orders as JSON: python -m tests.faults.books"""

from __future__ import annotations

import json
import sys

import django

django.setup()

from shop.models import Order  # noqa: E402


def main() -> None:
    orders = {
        order.number: {
            "is_cancelled": order.status == Order.Status.CANCELLED,
            # In cents, as Button counts.
            "total": int(order.total * 100),
            "btn_ref": order.btn_ref,
            "quantities": sorted(line.quantity for line in order.lines.all()),
        }
        for order in Order.objects.prefetch_related("lines")
    }
    json.dump(orders, sys.stdout)


if __name__ == "__main__":
    main()
