from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest
from django.core import serializers
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import TestCase, override_settings

from django_button_orders import Customer, LineItem
from django_button_orders.models import ButtonOrder, Submission
from tests.shop.models import Order
from tests.utils import PURCHASED, button_settings, create_row


@override_settings(BUTTON_ORDERS=button_settings())
class SaveTests(TestCase):
    def settle(self, row, status="reported"):
        ButtonOrder.objects.filter(pk=row.pk).update(
            status=status,
            reported_revision=row.revision,
            reported_digest=row.desired_digest(),
            next_attempt_at=None,
        )

    def test_what_no_column_holds(self):
        """Each is refused by the name of its field, and before the database sees it."""
        endless = {}
        endless["id"] = endless
        texts = [
            5.5,
            True,
            float("nan"),
            ["a"],
            {"a": 1},
            b"a",
            "\ud800",
            "a\0",
            "x" * 256,
        ]
        wrong = {
            "order_id": [None, *texts],
            "account": [None, *texts],
            "customer_order_id": texts,
            "btn_ref": [5, *texts],
            "currency": [5, *texts],
            "partner_order_channel": [5, *texts],
            "total": [2**70, -(2**70), 1.5, True, float("nan"), "x", [1], b"1"],
            "purchase_date": [1234567, True, "x", ["2026"], datetime(2026, 1, 1)],
            "finalization_date": [1234567, date(2026, 1, 1)],
            "customer": [endless, {"id": float("nan")}, {"id": b"a"}, {"id": "\ud800"}],
            "line_items": [[endless], [{"identifier": "a\0"}], {1, 2}],
        }
        good = {"order_id": "1", "total": 1, "currency": "USD"}
        other = create_row(order_id="2")
        rows = ButtonOrder.objects

        def save(**values):
            for name, value in values.items():
                setattr(other, name, value)
            try:
                other.save()
            finally:
                other.refresh_from_db()

        ways = {
            "create": rows.create,
            "save": save,
            "bulk_create": lambda **values: rows.bulk_create([ButtonOrder(**values)]),
            "update": rows.update,
            "update_or_create": lambda **values: rows.update_or_create(
                pk=other.pk, defaults=values
            ),
            "get_or_create": lambda **values: rows.get_or_create(
                pk=99, defaults=values
            ),
        }
        for name, values in wrong.items():
            for value in values:
                for way, call in ways.items():
                    with self.subTest(name=name, value=repr(value)[:20], way=way):
                        with (
                            pytest.raises(ValidationError) as caught,
                            transaction.atomic(),
                        ):
                            call(**{**good, name: value})

                        assert list(caught.value.message_dict) == [name]
        assert rows.get() == other

    def test_integer_as_an_order_id(self):
        row = create_row(order_id=5)
        row.total = 1
        row.save()

        assert ButtonOrder.objects.get(order_id=5).order_id == "5"
        ButtonOrder.objects.update(unanswered=1)
        row.save()

    def test_second_row_of_an_order(self):
        create_row()

        with pytest.raises(IntegrityError), transaction.atomic():
            create_row()

    def test_born_pending(self):
        row = create_row()

        assert (row.status, row.revision, row.attempts) == ("pending", 1, 0)
        assert row.next_attempt_at is not None

    def test_held(self):
        """With FIRST_REPORT_DELAY, a new row waits, and saves do not change that."""
        with override_settings(BUTTON_ORDERS=button_settings(FIRST_REPORT_DELAY=60)):
            row = create_row()
            row.refresh_from_db()
            until = row.next_attempt_at
            assert 50 < (until - row.created_at).total_seconds() < 70
            row.total = 6000
            row.save()
            row.cancel()

            assert row.next_attempt_at == until
            assert ButtonOrder.objects.waiting().get().revision == 3

    def test_not_held(self):
        """A row with a time of its own, or which is not pending, is not held."""
        with override_settings(BUTTON_ORDERS=button_settings(FIRST_REPORT_DELAY=60)):
            create_row(order_id="1", next_attempt_at=PURCHASED)
            ButtonOrder.objects.bulk_create([ButtonOrder(order_id="2")])
            row = create_row(order_id="3", status="failed")
            row.retry()

            assert ButtonOrder.objects.due().count() == 3

    def test_changed_payload(self):
        row = create_row()
        self.settle(row)
        row.total = 6000

        row.save()

        assert (row.status, row.revision) == ("pending", 2)
        assert row.next_attempt_at is not None

    def test_unchanged_payload(self):
        row = create_row()
        self.settle(row)
        row = ButtonOrder.objects.get()

        row.save()

        assert (row.status, row.revision) == ("reported", 1)

    def test_changed_back_while_the_change_is_pending(self):
        row = create_row()
        self.settle(row)
        row.total = 6000
        row.save()
        row.total = 7000

        row.save()

        assert (row.status, row.revision) == ("pending", 3)

    def test_stale_instance_keeps_what_a_worker_wrote(self):
        stale = create_row()
        self.settle(stale)
        ButtonOrder.objects.update(button_order_id="btnorder-1", attempts=3)
        stale.customer_order_id = "42"

        stale.save()

        row = ButtonOrder.objects.get()
        assert row.customer_order_id == "42"
        assert row.button_order_id == "btnorder-1"
        assert row.reported_revision == 1
        assert row.revision == 2

    def test_stale_instance_does_not_take_a_cancellation_back(self):
        stale = create_row()
        ButtonOrder.objects.get().cancel()
        stale.total = 1

        stale.save()

        assert stale.cancel_requested_at is not None
        assert ButtonOrder.objects.get().cancel_requested_at is not None

    def test_id_stays_once_button_may_know_it(self):
        row = create_row()
        row.order_id = "1995"
        row.save()
        ButtonOrder.objects.update(reported_revision=2)
        for name in ("order_id", "account"):
            with self.subTest(name=name):
                row = ButtonOrder.objects.get()
                setattr(row, name, "other")

                with pytest.raises(ValidationError, match="cannot be changed"):
                    row.save()

        assert ButtonOrder.objects.get().order_id == "1995"

    def test_update_fields(self):
        row = create_row()
        row.total, row.currency = 1, "EUR"

        row.save(update_fields=["total"])

        saved = ButtonOrder.objects.get()
        assert (saved.total, saved.currency, saved.revision) == (1, "USD", 2)

    def test_outbox_fields_are_not_the_shop_s(self):
        row = create_row()
        row.status, row.reported_digest = "reported", "forged"

        row.save(update_fields=["status", "reported_digest"])

        saved = ButtonOrder.objects.get()
        assert (saved.status, saved.reported_digest) == ("pending", "")

    def test_update_or_create(self):
        for total in (1, 2):
            row, _ = ButtonOrder.objects.update_or_create(
                order_id="1994",
                defaults={
                    "total": total,
                    "currency": "USD",
                    "purchase_date": PURCHASED,
                },
            )

        assert (row.total, row.revision) == (2, 2)

    def test_value_objects(self):
        customer = Customer(id="u-77", email="User@Example.com")
        create_row(customer=customer, line_items=[LineItem(identifier="a", total=1)])

        row = ButtonOrder.objects.get()
        assert row.customer == customer.as_dict()
        assert row.line_items == [{"identifier": "a", "total": 1}]

    def test_one_row_for_an_order(self):
        create_row()
        with pytest.raises(IntegrityError), transaction.atomic():
            create_row()

        create_row(account="eu")

    def test_what_cannot_be_kept_is_named(self):
        bad = {
            "total": [12.5, True, Decimal("12.5")],
            "purchase_date": [datetime(2026, 11, 1)],
            "line_items": [[{"total": float("nan")}], [{"sku": "\ud800"}], [{1, 2}]],
            "customer": [{"id": "\0"}],
            "order_id": ["x" * 256, "\ud800", "\0"],
            "btn_ref": ["x" * 256],
            "currency": ["dollars"],
            "account": ["x" * 101],
        }
        for name, values in bad.items():
            for value in values:
                with (
                    self.subTest(name=name, value=value),
                    pytest.raises(ValidationError) as caught,
                ):
                    create_row(**{name: value})

                assert list(caught.value.message_dict) == [name]


@override_settings(BUTTON_ORDERS=button_settings())
class LinesTotalTests(TestCase):
    def test_sum(self):
        row = create_row(
            line_items=[
                {"identifier": "MUG", "amount": 1500, "quantity": 2},
                {"identifier": "TEA", "total": 4500},
            ]
        )

        assert row.lines_total == 7500

    def test_no_valid_lines(self):
        good = {"identifier": "MUG", "total": 1500}
        row = create_row()
        for lines in (
            None,
            [],
            {},
            "",
            "MUG",
            5,
            good,
            [None],
            ["MUG"],
            [[good]],
            [good, {"identifier": "TEA"}],
            [good, {"identifier": "TEA", "total": "5"}],
            [good, {"identifier": "TEA", "total": 1.5}],
        ):
            with self.subTest(lines=lines):
                row.line_items = lines

                assert row.lines_total is None


class FullCleanTests(TestCase):
    def test_good_row(self):
        create_row(customer={"id": "u"}, line_items=[{"identifier": "a", "total": 1}])

        ButtonOrder.objects.get().full_clean()

    def test_names_the_fields(self):
        endless = {}
        endless["self"] = endless
        bad = {
            "account": [["a"], 1.5],
            "total": [-1, 2**31, 12.5, True, None],
            "currency": ["usd", "XXY", None, 840],
            "order_id": ["", "ö", "x" * 256, 1.5, True, ["a"]],
            "purchase_date": [None, datetime(2026, 11, 1), 1234567, ["2026"]],
            "btn_ref": ["a b", "x" * 256],
            "customer": [
                {"email": "a@b.test"},
                {"id": "a@b.test"},
                {"is_new": 1},
                endless,
            ],
            "line_items": [[{}], [{"identifier": "a", "total": 1, "colour": "red"}]],
            "partner_order_channel": ["web"],
            "customer_order_id": ["x" * 256, "\ud800", ["a"], b"a"],
            "finalization_date": [1234567],
        }
        for name, values in bad.items():
            for value in values:
                row = ButtonOrder(
                    **{
                        "order_id": "1",
                        "total": 1,
                        "currency": "USD",
                        "purchase_date": PURCHASED,
                        name: value,
                    }
                )
                with (
                    self.subTest(name=name, value=value),
                    pytest.raises(ValidationError) as caught,
                ):
                    row.full_clean()

                assert name in caught.value.message_dict


@override_settings(BUTTON_ORDERS=button_settings())
class MoveTests(TestCase):
    def create(self, **values):
        row = create_row()
        ButtonOrder.objects.update(**values)
        row.refresh_from_db()
        return row

    def test_retry(self):
        for status in ("failed", "dismissed"):
            with self.subTest(status=status):
                ButtonOrder.objects.all().delete()
                row = self.create(
                    status=status, reason="exhausted", attempts=14, last_error="503"
                )

                assert row.retry() is True

                assert (row.status, row.reason, row.attempts) == ("pending", "", 0)
                assert row.last_error == ""
                assert row.next_attempt_at is not None

    def test_retry_of_others(self):
        for status in ("pending", "reported", "cancelled"):
            with self.subTest(status=status):
                ButtonOrder.objects.all().delete()
                row = self.create(status=status)

                assert row.retry() is False

                assert row.status == status

    def test_dismiss(self):
        row = self.create(status="failed", reason="refused", next_attempt_at=None)

        assert row.dismiss() is True
        assert row.dismiss() is False

        assert (row.status, row.reason) == ("dismissed", "refused")
        assert row.next_attempt_at is None

    def test_cancel(self):
        row = self.create(status="reported", next_attempt_at=None)

        assert row.cancel() is True
        assert row.cancel() is False

        assert (row.status, row.revision) == ("pending", 2)
        assert row.cancel_requested_at is not None

    def test_cancel_of_what_is_cancelled(self):
        row = self.create(status="cancelled", next_attempt_at=None)

        assert row.cancel() is False

        assert row.status == "cancelled"


class FixtureTests(TestCase):
    @override_settings(BUTTON_ORDERS=button_settings())
    def test_row_is_loaded_as_it_was(self):
        row = create_row()
        ButtonOrder.objects.update(status="reported", next_attempt_at=None)
        dump = serializers.serialize("json", ButtonOrder.objects.all())
        ButtonOrder.objects.all().delete()

        for loaded in serializers.deserialize("json", dump):
            loaded.save()

        assert ButtonOrder.objects.get().status == "reported"
        assert ButtonOrder.objects.get().pk == row.pk


class MigrationTests(TestCase):
    def test_nothing_is_missing(self):
        call_command("makemigrations", "django_button_orders", check=True, verbosity=0)

    def test_no_number_is_checked_by_the_database(self):
        """PostgreSQL plans each CHECK of a table again for each statement."""
        for model in (ButtonOrder, Submission):
            with connection.cursor() as cursor:
                found = connection.introspection.get_constraints(
                    cursor, model._meta.db_table
                )
            checked = {
                column
                for constraint in found.values()
                if constraint["check"]
                for column in constraint["columns"]
            }
            numbers = {
                field.column
                for field in model._meta.concrete_fields
                if "Integer" in field.get_internal_type()
            }
            assert numbers
            assert not checked & numbers


class ReplicaRouter:
    """A router that reads from a replica, here "archive", and writes to the primary."""

    def db_for_read(self, model, **hints):
        return "archive"

    def db_for_write(self, model, **hints):
        return "default"


class ShopRouter:
    """A router that keeps the shop's tables apart from all other tables."""

    def db_for_read(self, model, **hints):
        return "archive" if model._meta.app_label == "shop" else "default"

    db_for_write = db_for_read


@override_settings(
    BUTTON_ORDERS=button_settings(), DATABASE_ROUTERS=[f"{__name__}.ShopRouter"]
)
class ShardTests(TestCase):
    databases = {"default", "archive"}

    def test_row_lives_with_its_order(self):
        create_row()
        Order.objects.create(number="42")
        row = ButtonOrder.objects.using("archive").get()

        assert row.cancel() is True

        assert row.cancel_requested_at is not None
        assert ButtonOrder.objects.get().cancel_requested_at is None


@override_settings(
    BUTTON_ORDERS=button_settings(), DATABASE_ROUTERS=[f"{__name__}.ReplicaRouter"]
)
class ReplicaTests(TestCase):
    databases = {"default", "archive"}

    def test_moves_are_made_in_the_primary(self):
        row = create_row()
        ButtonOrder.objects.using("default").update(status="failed")
        row._state.db = "archive"

        assert row.retry() is True

        assert ButtonOrder.objects.using("default").get().status == "pending"
