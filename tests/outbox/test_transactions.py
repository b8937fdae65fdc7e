"""Changes are reported, whatever a shop does with its transactions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from random import Random

from django.db import connection, transaction
from django.db.models.signals import post_save
from django.test import TransactionTestCase, override_settings

from django_button_orders import suppress_reporting
from django_button_orders.models import ButtonOrder
from tests.shop.models import Order, OrderLine
from tests.utils import button_settings, uses_psycopg2

rows = ButtonOrder.objects
NUMBERS = ["1", "2", "3"]
counter = count()


def ask(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


def add_line(order):
    OrderLine.objects.create(order=order, sku="a", price=1)


def report():
    """Report the due orders, as a worker does. Return the lines of each order."""
    due = list(rows.due().values_list("order_id", flat=True))
    rows.filter(order_id__in=due).update(status="reported", next_attempt_at=None)
    return {
        number: OrderLine.objects.filter(order__number=number).count() for number in due
    }


def report_elsewhere():
    found = []

    def run():
        found.append(report())
        connection.close()

    worker = threading.Thread(target=run)
    worker.start()
    worker.join(30)
    return found[0]


@contextmanager
def first_receiver(receiver) -> Iterator[None]:
    """Connect a receiver of the shop before ours."""
    receivers = list(post_save.receivers)
    post_save.connect(receiver, sender=Order)
    post_save.receivers = [post_save.receivers[-1], *receivers]
    post_save.sender_receivers_cache.clear()
    try:
        yield
    finally:
        post_save.receivers = receivers
        post_save.sender_receivers_cache.clear()


@override_settings(BUTTON_ORDERS=button_settings())
class CommitsUnknownToDjangoTests(TransactionTestCase):
    """A worker may see an order before the ``atomic`` block of its save ends."""

    def commit_amid(self, commit):
        if connection.vendor == "sqlite":
            self.skipTest("Another thread does not see a database in memory.")
        if uses_psycopg2():
            self.skipTest("psycopg2 does not see the commit, and opens no transaction.")
        with transaction.atomic():
            order = Order.objects.create(number="42")
            commit()
            assert report_elsewhere() == {"42": 0}
            add_line(order)

        assert report() == {"42": 1}

    def test_in_sql(self):
        self.commit_amid(lambda: ask("COMMIT"))

    def test_of_the_driver(self):
        self.commit_amid(lambda: connection.connection.commit())

    def test_by_a_statement_that_commits(self):
        if connection.vendor != "mysql":
            self.skipTest("Elsewhere, it is part of the transaction.")
        self.commit_amid(lambda: ask("TRUNCATE shop_page"))

    def test_by_a_procedure(self):
        if connection.vendor != "mysql":
            self.skipTest("Elsewhere, procedures of a transaction do not commit.")
        ask("DROP PROCEDURE IF EXISTS settle")
        ask("CREATE PROCEDURE settle() COMMIT")

        def call():
            with connection.cursor() as cursor:
                cursor.callproc("settle")

        self.commit_amid(call)


@override_settings(BUTTON_ORDERS=button_settings())
class SavepointsUnknownToDjangoTests(TransactionTestCase):
    def test_made_between_an_order_and_its_row(self):
        def receive(created, **kwargs):
            if created:
                ask("SAVEPOINT theirs")

        with first_receiver(receive), transaction.atomic():
            order = Order.objects.create(number="42")
            ask("ROLLBACK TO SAVEPOINT theirs")
            assert not rows.exists()
            add_line(order)

        assert report() == {"42": 1}

    def test_order_made_again_without_a_signal(self):
        with transaction.atomic():
            ask("SAVEPOINT theirs")
            order = Order.objects.create(number="42")
            ask("ROLLBACK TO SAVEPOINT theirs")
            Order.objects.bulk_create([order])
            add_line(order)

        assert report() == {"42": 1}


@contextmanager
def atomic(*, undo):
    with transaction.atomic():
        yield
        transaction.set_rollback(undo)


@contextmanager
def by_hand(*, undo):
    # Django 6.1 renames the function of the same name in ``transaction``.
    name = connection.savepoint()
    yield
    end = connection.savepoint_rollback if undo else connection.savepoint_commit
    end(name)


@contextmanager
def in_sql(*, undo):
    # MySQL drops an outer savepoint of the same name.
    name = f"theirs_{next(counter)}"
    ask(f"SAVEPOINT {name}")
    yield
    ask(f"{'ROLLBACK TO' if undo else 'RELEASE'} SAVEPOINT {name}")


class Shop:
    """Make random changes in a transaction."""

    def __init__(self, seed):
        self.chance = Random(seed)  # noqa: S311 - it keeps no secret
        self.steps = [self.create, self.add_line, self.save, self.delete]

    def play(self, depth=0):
        for _ in range(self.chance.randint(1, 5)):
            if depth < 3 and self.chance.random() < 0.4:
                kind = self.chance.choice([atomic, by_hand, in_sql])
                with kind(undo=self.chance.random() < 0.5):
                    self.play(depth + 1)
            else:
                self.chance.choice(self.steps)()

    def find(self):
        return self.chance.choice([None, *Order.objects.order_by("number")])

    def create(self):
        number = self.chance.choice(NUMBERS)
        if Order.objects.filter(number=number).exists():
            return
        is_silent = self.chance.random() < 0.2
        with suppress_reporting() if is_silent else nullcontext():
            Order.objects.create(number=number, email="silent" * is_silent)

    def add_line(self):
        order = self.find()
        if order is not None:
            add_line(order)

    def save(self):
        order = self.find()
        if order is not None:
            order.save()

    def delete(self):
        order = self.find()
        if order is not None and self.chance.random() < 0.3:
            order.delete()


@override_settings(BUTTON_ORDERS=button_settings())
class ChanceTests(TransactionTestCase):
    def test_what_is_committed_is_reported(self):
        for seed in range(60):
            with self.subTest(seed=seed):
                Order.objects.all().delete()
                rows.all().delete()
                shop = Shop(seed)
                known = {}
                for _ in range(4):
                    with atomic(undo=shop.chance.random() < 0.3):
                        shop.play()
                    known |= report()
                    orders = list(Order.objects.all())
                    for order in orders:
                        self.check(order, known.get(order.number))
                    numbers = {order.number for order in orders}
                    known = {key: known[key] for key in numbers & {*known}}

    def check(self, order, known):
        """An order that was written without a signal is marked when a line is saved."""
        lines = order.lines.count()
        assert known == lines or (order.email and not lines and known is None)
