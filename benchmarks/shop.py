"""
Sell orders on command: python -m benchmarks.shop

Each line of standard input is a command in JSON, and has a line as its answer.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import django

django.setup()

from django.apps import apps  # noqa: E402
from django.db import transaction  # noqa: E402
from shop.models import Order, OrderLine, Product  # noqa: E402

# Publishing is part of a save's cost, also in another thread.
AFTERMATH_SECONDS = 0.15
POLL_SECONDS = 0.001
PATIENCE_SECONDS = 30


class Seller:
    def __init__(self) -> None:
        self.products = list(Product.objects.all()[:2])
        self.number = 0
        self.committed_at = 0.0

    def record_commit(self) -> None:
        self.committed_at = time.monotonic()

    def save_order(self, lines: int = 2) -> Order:
        """Save an order and its lines in one transaction, as a checkout does."""
        self.number += 1
        with transaction.atomic():
            # This runs before the other callbacks after the commit.
            transaction.on_commit(self.record_commit)
            order = Order.objects.create(
                number=f"S{os.getpid()}-{self.number}",
                status=Order.Status.PAID,
                email=f"customer{self.number}@example.com",
                btn_ref=f"fakesrctok-{self.number}",
            )
            for product in self.products[:lines]:
                OrderLine.objects.create(
                    order=order, product=product, unit_price=product.price
                )
        return order

    def sell(self, orders: int, lines: int = 2) -> dict[str, Any]:
        """Save orders one after another, and return the seconds of each."""
        errors, seconds = [], []
        first_at = time.monotonic()
        for _ in range(orders):
            start = time.perf_counter()
            try:
                self.save_order(lines)
            except Exception as exc:  # noqa: BLE001 - the question is whether any comes
                errors.append(f"{type(exc).__name__}: {exc}")
            seconds.append(time.perf_counter() - start)
        return {
            "first_at": first_at,
            "last_at": time.monotonic(),
            "seconds": seconds,
            "errors": errors,
        }

    def rest(self) -> dict[str, Any]:
        """Wait until all is published, and return the CPU time of the process."""
        time.sleep(AFTERMATH_SECONDS)
        return {"cpu": time.process_time()}

    def follow(self) -> dict[str, Any]:
        """Save an order, and return the seconds from its commit to its report."""
        order = self.save_order()
        is_reported = reported_check(order)
        ends = time.monotonic() + PATIENCE_SECONDS
        while not is_reported():
            if time.monotonic() > ends:
                raise TimeoutError(f"{order} is not reported.")
            time.sleep(POLL_SECONDS)
        return {"seconds": time.monotonic() - self.committed_at}


def reported_check(order: Order) -> Callable[[], bool]:
    """Return a function that tells whether an order is reported."""
    if apps.is_installed("benchmarks.naive"):
        reports = apps.get_model("naive.Report").objects
        rows = reports.filter(order_id=order.pk)
    else:
        rows = apps.get_model("django_button_orders.ButtonOrder").objects
        rows = rows.filter(order_id=order.number)
    return rows.filter(status="reported").exists


def main() -> None:
    seller = Seller()
    commands = {"sell": seller.sell, "rest": seller.rest, "follow": seller.follow}
    for line in sys.stdin:
        command = json.loads(line)
        answer = commands[command.pop("do")](**command)
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
