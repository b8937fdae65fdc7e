"""
Sell, change and cancel orders at random: python -m tests.faults.seller

After the commit of each step, the seller writes the step's duration and its error, if
any, to a journal.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from contextlib import suppress
from typing import IO, Any

import django

django.setup()

from django.db import Error, close_old_connections, connection, transaction  # noqa: E402
from shop.models import Order, OrderLine, Product  # noqa: E402


class ChangedMindError(Exception):
    """Roll a checkout back: its customer has left."""


class Seller:
    """Place and change orders at random, by a seed."""

    def __init__(self, name: str, seed: int, journal: IO[str]) -> None:
        self.name = name
        self.rng = random.Random(f"{name} {seed}")
        self.journal = journal
        self.products = list(Product.objects.all())
        self.open: list[int] = []
        self.number = self.placed = 0

    def work(self, *, orders: int, pace: float, changes: bool) -> None:
        steps = [self.place] * 6 + [self.abandon]
        if changes:
            steps += [self.change] * 3 + [self.cancel]
        while self.placed < orders:
            self.step(self.rng.choice(steps))
            time.sleep(self.rng.uniform(0, 2 * pace))

    def step(self, action: Any) -> None:
        start, error = time.monotonic(), ""
        try:
            action()
        except Error as exc:
            # The shop's own database is away, so its customers see an error page.
            error = type(exc).__name__
            with suppress(Error):
                connection.close()
            time.sleep(0.05)
        except Exception as exc:
            error = f"{type(exc).__name__}: {exc}"
        entry = {
            "what": action.__name__,
            "seconds": round(time.monotonic() - start, 3),
            "error": error,
        }
        self.journal.write(f"{json.dumps(entry)}\n")
        self.journal.flush()
        close_old_connections()

    def place(self) -> None:
        self.number += 1
        self.open.append(self.save_order())
        self.placed += 1

    def abandon(self) -> None:
        with suppress(ChangedMindError), transaction.atomic():
            self.save_order(suffix="-abandoned")
            raise ChangedMindError

    @transaction.atomic
    def save_order(self, suffix: str = "") -> int:
        order = Order.objects.create(
            number=f"{self.name}-{self.number}{suffix}"[:20],
            status=Order.Status.PAID,
            email=f"customer{self.number}@example.com",
            btn_ref=f"fakesrctok-{self.name}-{self.number}",
        )
        for product in self.rng.sample(self.products, self.rng.randint(1, 3)):
            self.add_line(order, product)
        return order.pk

    def add_line(self, order: Order, product: Product) -> None:
        OrderLine.objects.create(
            order=order,
            product=product,
            quantity=self.rng.randint(1, 3),
            unit_price=product.price,
        )

    @transaction.atomic
    def change(self) -> None:
        """Raise the total of an order: a lower total is then an older state."""
        if not self.open:
            return
        order = Order.objects.get(pk=self.rng.choice(self.open))
        lines = list(order.lines.order_by("pk"))
        if len(lines) < len(self.products) and self.rng.random() < 0.3:
            there = {line.product_id for line in lines}
            self.add_line(order, next(p for p in self.products if p.pk not in there))
            return
        line = lines[0]
        line.quantity += 1
        line.save()

    @transaction.atomic
    def cancel(self) -> None:
        if not self.open:
            return
        pk = self.open.pop(self.rng.randrange(len(self.open)))
        order = Order.objects.get(pk=pk)
        order.status = Order.Status.CANCELLED
        order.save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--orders", type=int, required=True)
    parser.add_argument("--pace", type=float, default=0.0, help="seconds per step")
    parser.add_argument("--journal", required=True)
    parser.add_argument("--no-changes", action="store_false", dest="changes")
    options = parser.parse_args()
    with open(options.journal, "a") as journal:
        seller = Seller(options.name, options.seed, journal)
        seller.work(orders=options.orders, pace=options.pace, changes=options.changes)


if __name__ == "__main__":
    main()
