"""
A shop that sells as it is told to: python -m benchmarks.shop

It reads a command a line from its standard input, as JSON, and answers each
with a line.
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

# What is published by a thread of the shop is part of what a save costs.
AFTERMATH_SECONDS = 0.15
POLL_SECONDS = 0.001
PATIENCE_SECONDS = 30


class Seller:
    def __init__(self) -> None:
        self.products = list(Product.objects.all()[:2])
        self.number = 0
        self.committed_at = 0.0

    def note_commit(self) -> None:
        self.committed_at = time.monotonic()

    def save_order(self, lines: int = 2) -> Order:
        """Save what every checkout saves: an order and its lines, together."""
        self.number += 1
        with transaction.atomic():
            # The first to be called once it is committed.
            transaction.on_commit(self.note_commit)
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
        """Save orders one after another, and say what each has taken."""
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
        """Let all be published, and say what CPU time the process has taken so far."""
        time.sleep(AFTERMATH_SECONDS)
        return {"cpu": time.process_time()}

    def follow(self) -> dict[str, Any]:
        """Save an order, and say how long after the commit it was reported."""
        order = self.save_order()
        is_reported = reported_check(order)
        ends = time.monotonic() + PATIENCE_SECONDS
        while not is_reported():
            if time.monotonic() > ends:
                raise TimeoutError(f"{order} is not reported.")
            time.sleep(POLL_SECONDS)
        return {"seconds": time.monotonic() - self.committed_at}


def reported_check(order: Order) -> Callable[[], bool]:
    """Return the question whether the integration has an order for reported."""
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
