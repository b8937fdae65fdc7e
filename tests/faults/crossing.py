"""Change two orders in opposite order: python -m tests.faults.crossing"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import Counter

import django

django.setup()

from django.db import Error, connection, transaction  # noqa: E402
from shop.models import Order, OrderLine, Product  # noqa: E402

ROUNDS = 10
SKUS = ("MUG-1", "TEA-9")

# An order's number, and the product of a line.
Line = tuple[str, str]


def change(
    numbers: list[str], barrier: threading.Barrier, grown: Counter[Line]
) -> None:
    """Raise the totals of both orders in one transaction, in the given order."""
    mine = threading.current_thread().name
    for _ in range(ROUNDS):
        barrier.wait(60)
        try:
            with transaction.atomic():
                for number in numbers:
                    grow(number, mine)
                    time.sleep(0.1)
        except Error:
            # A deadlock: MySQL and MariaDB roll back the whole transaction.
            sys.stdout.write("rolled back\n")
        else:
            sys.stdout.write("committed\n")
            grown.update((number, mine) for number in numbers)
    connection.close()


def grow(number: str, sku: str) -> None:
    """Change a line that no other thread changes: only the order's row is shared."""
    line = OrderLine.objects.get(order__number=number, product__sku=sku)
    line.quantity += 1
    line.save()


def add_lines(numbers: list[str]) -> None:
    for number in numbers:
        order = Order.objects.get(number=number)
        for sku in SKUS:
            item = Product.objects.get(sku=sku)
            defaults = {"unit_price": item.price}
            order.lines.get_or_create(product=item, defaults=defaults)


def quantities(numbers: list[str]) -> Counter[Line]:
    lines = OrderLine.objects.filter(order__number__in=numbers, product__sku__in=SKUS)
    found = lines.values_list("order__number", "product__sku", "quantity")
    return Counter({(number, sku): quantity for number, sku, quantity in found})


def main(first: str, second: str) -> None:
    logging.getLogger("django_button_orders").addHandler(
        logging.StreamHandler(sys.stdout)
    )
    add_lines([first, second])
    before = quantities([first, second])
    grown: Counter[Line] = Counter()
    barrier = threading.Barrier(len(SKUS))
    threads = [
        threading.Thread(target=change, args=(numbers, barrier, grown), name=sku)
        for sku, numbers in zip(SKUS, ([first, second], [second, first]), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected, found = before + grown, quantities([first, second])
    if expected != found:
        sys.stdout.write(f"committed, and lost: {expected - found}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
