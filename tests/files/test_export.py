from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

from django.db import connection
from django.test import TestCase, override_settings
from django.test.utils import CaptureQueriesContext

from django_button_orders.files.export import BatchFile
from django_button_orders.models import ButtonOrder
from tests.shop.models import Order, OrderLine
from tests.utils import button_settings, create_row

DAY = datetime(2026, 11, 1, tzinfo=timezone.utc)
NOON = DAY + timedelta(hours=12)
BEFORE = DAY - timedelta(hours=1)
ITEMS = [
    {
        "identifier": "mug",
        "total": 3000,
        "amount": 1500,
        "quantity": 2,
        "sku": "MUG-1",
        "upc": "400",
        "category": ["Home", "Kitchen"],
        "description": 'A "mug", blue\nand big',
        "attributes": {"colour": "bleu foncé"},
    },
    {"identifier": "tea", "total": 4000},
]
EVERYTHING = {
    name: name
    for name in (
        "order_id",
        "total",
        "currency",
        "purchase_date",
        "btn_ref",
        "customer_order_id",
        "partner_order_channel",
        "finalization_date",
        "total_as_decimal",
        "customer_id",
        "customer_email_sha256",
        "customer_device_id",
        "customer_is_new",
        "line_item_identifier",
        "line_item_total",
        "line_item_amount",
        "line_item_quantity",
        "line_item_sku",
        "line_item_upc",
        "line_item_category",
        "line_item_description",
        "line_item_attributes",
        "updated_date",
        "is_cancelled",
    )
}
KEYS = {"order_id": "order_id", "line": "line_item_identifier"}
STATE = {
    **KEYS,
    "total": "total",
    "line_total": "line_item_total",
    "quantity": "line_item_quantity",
    "cancelled": "is_cancelled",
}


def settings_with(columns=KEYS, **values):
    tables = {"new": columns, "changes": columns}
    return override_settings(
        BUTTON_ORDERS=button_settings(BATCH_FILE_COLUMNS=tables, **values)
    )


def change(row, **values):
    """Set a row's fields, as time and calls would."""
    rows = ButtonOrder.objects.filter(order_id=row.order_id)
    rows.update(**{"updated_at": NOON, **values})


def acknowledge(row, **values):
    digest = ButtonOrder.objects.get(order_id=row.order_id).desired_digest()
    known = {"reported_revision": 1, "reported_digest": digest}
    change(row, **{"status": "reported", **known, **values})


class BatchFileTestCase(TestCase):
    def export(self, kind, account="default", **options):
        self.complaints = []
        batch_file = BatchFile(
            account=account,
            kind=kind,
            complain=self.complaints.append,
            **{"since": DAY, "until": DAY + timedelta(days=1), **options},
        )
        self.counts = batch_file.counts
        rows = [row for page in batch_file.pages("default") for row in page]
        return [dict(zip(batch_file.header, row, strict=True)) for row in rows]

    def ids(self, kind, **options):
        found = []
        for row in self.export(kind, **options):
            if row["order_id"] not in found:
                found.append(row["order_id"])
        return found


class NewTests(BatchFileTestCase):
    @settings_with(EVERYTHING)
    def test_every_column(self):
        row = create_row(
            customer_order_id="10042",
            partner_order_channel="app",
            finalization_date=DAY + timedelta(days=30),
            customer={"id": "u-7", "email_sha256": "b4" * 32, "is_new": False},
            line_items=ITEMS,
        )
        change(row)

        first, second = self.export("new")

        assert first == {
            "order_id": "1994",
            "total": "7000",
            "currency": "USD",
            "purchase_date": "2026-11-01T12:00:00Z",
            "btn_ref": "srctok-1",
            "customer_order_id": "10042",
            "partner_order_channel": "app",
            "finalization_date": "2026-12-01T00:00:00Z",
            "total_as_decimal": "false",
            "customer_id": "u-7",
            "customer_email_sha256": "b4" * 32,
            "customer_device_id": "",
            "customer_is_new": "false",
            "line_item_identifier": "mug",
            "line_item_total": "3000",
            "line_item_amount": "1500",
            "line_item_quantity": "2",
            "line_item_sku": "MUG-1",
            "line_item_upc": "400",
            "line_item_category": "Home > Kitchen",
            "line_item_description": 'A "mug", blue\nand big',
            "line_item_attributes": '{"colour": "bleu foncé"}',
            "updated_date": "2026-11-01T12:00:00Z",
            "is_cancelled": "false",
        }
        changed = {name for name in first if first[name] != second[name]}
        assert all(name.startswith("line_item_") for name in changed)
        assert second["line_item_identifier"] == "tea"
        assert second["line_item_quantity"] == ""
        assert self.counts == {"orders": 1, "rows": 2}

    @override_settings(BUTTON_ORDERS=button_settings())
    def test_default_columns(self):
        create_row(line_items=ITEMS)

        [first, _] = self.export("new")

        assert list(first) == [
            "purchase_date",
            "order_id",
            "line_item_identifier",
            "currency",
            "total",
            "btn_ref",
            "customer_id",
            "customer_email_sha256",
            "line_item_total",
            "line_item_quantity",
            "line_item_sku",
            "line_item_category",
            "line_item_description",
        ]

    @settings_with(EVERYTHING, TOTAL_AS_DECIMAL=True)
    def test_decimals(self):
        create_row(currency="KWD", line_items=ITEMS)

        [first, _] = self.export("new")

        assert first["total"] == "7.000"
        assert first["line_item_total"] == "3.000"
        assert first["total_as_decimal"] == "true"

    @settings_with()
    def test_texts_stay_as_they_are(self):
        """A spreadsheet takes this for a formula, but Button needs the exact ID."""
        create_row(order_id="=1+1", line_items=[{"identifier": "@x", "total": -1}])

        assert self.export("new") == [{"order_id": "=1+1", "line": "@x"}]

    @settings_with()
    def test_bought_in_the_time(self):
        for name, moment in {
            "too early": DAY - timedelta(seconds=1),
            "first": DAY,
            "last": DAY + timedelta(hours=24) - timedelta(seconds=1),
            "too late": DAY + timedelta(days=1),
        }.items():
            create_row(order_id=name, purchase_date=moment, line_items=ITEMS)

        assert self.ids("new") == ["first", "last"]

    @settings_with(ACCOUNTS={"eu": {}})
    def test_one_account(self):
        create_row(line_items=ITEMS)
        create_row(account="eu", order_id="2", line_items=ITEMS)

        assert self.ids("new") == ["1994"]
        assert self.ids("new", account="eu") == ["2"]

    @settings_with()
    def test_what_is_not_to_be_reported(self):
        dismissed = create_row(order_id="dismissed", line_items=ITEMS)
        change(dismissed, status="dismissed")
        create_row(order_id="cancelled", line_items=ITEMS).cancel()
        create_row(order_id="reported", line_items=ITEMS)

        assert self.ids("new") == ["reported"]

    @settings_with(REPORT_WITHOUT_TOKEN=False)
    def test_without_token(self):
        create_row(order_id="without", btn_ref="", line_items=ITEMS)
        create_row(order_id="with", line_items=ITEMS)
        known = create_row(order_id="known", btn_ref="", line_items=ITEMS)
        acknowledge(known)

        assert self.ids("new") == ["with", "known"]

    @settings_with()
    def test_without_line_items(self):
        create_row()

        assert self.export("new") == []
        assert self.counts["failed"] == 1
        assert self.complaints == [
            "1994: The order has no line items, and the file has one row per line item."
        ]

    @settings_with({"Order ID": "order_id"})
    def test_columns_without_line_items(self):
        create_row(line_items=ITEMS)

        assert self.export("new") == [{"Order ID": "1994"}]

    @settings_with()
    def test_invalid(self):
        row = create_row(line_items=ITEMS)
        change(row, currency="XXY")
        create_row(order_id="2", line_items=ITEMS)

        assert self.ids("new") == ["2"]
        [complaint] = self.complaints
        assert complaint.startswith("1994: The order is not valid: currency")


class HostTests(BatchFileTestCase):
    """Reports are built from the shop's orders at the time of the export."""

    def create(self, number, *, lines=("a", "b"), **values):
        order = Order.objects.create(
            **{"number": number, "placed_at": NOON, "total": Decimal("70"), **values}
        )
        OrderLine.objects.bulk_create(
            OrderLine(order=order, sku=sku, price=35) for sku in lines
        )
        ButtonOrder.objects.update(updated_at=NOON)
        return order

    @settings_with(STATE)
    def test_not_built_yet(self):
        self.create("1")
        self.create("later", placed_at=DAY + timedelta(days=3))

        rows = self.export("new")

        assert [(row["order_id"], row["line"], row["line_total"]) for row in rows] == [
            ("1", "a", "3500"),
            ("1", "b", "3500"),
        ]
        assert self.complaints == []

    @settings_with()
    def test_one_query_for_a_page_of_orders(self):
        for number in range(4):
            self.create(f"{number}")
        with CaptureQueriesContext(connection) as queries:
            assert len(self.ids("new")) == 4

        table = f"FROM {connection.ops.quote_name('shop_order')} "
        assert len([query for query in queries if table in query["sql"]]) == 1

    @settings_with()
    def test_trouble(self):
        self.create("1", trouble="build", email="Jane")
        self.create("2")

        assert self.ids("new") == ["2"]
        [complaint] = self.complaints
        assert complaint.startswith("1: ShopOrderAdapter.build raised TroubleError")
        assert "Jane" not in complaint

    @settings_with()
    def test_trouble_of_earlier_days(self):
        """Its error is printed for one period, not for each later one."""
        self.create("1", trouble="build")
        ButtonOrder.objects.update(updated_at=DAY - timedelta(seconds=1))

        assert self.ids("new") == []
        assert self.complaints == []

    @settings_with()
    def test_not_reportable_any_more(self):
        order = self.create("1")
        Order.objects.filter(pk=order.pk).update(is_paid=False)

        assert self.ids("new") == []
        assert self.complaints == []

    @settings_with()
    def test_not_reportable_any_more_but_sent(self):
        """Button may know the order, because a call has no answer."""
        order = self.create("1")
        Order.objects.filter(pk=order.pk).update(is_paid=False)
        ButtonOrder.objects.update(unanswered=1)

        assert self.ids("new") == ["1"]

    @settings_with(STATE, ENABLED=False)
    def test_cancelled_and_never_built(self):
        """This is so for a shop that only sends files."""
        order = self.create("1", placed_at=BEFORE)
        order.is_cancelled = True
        order.save()
        change(ButtonOrder.objects.get())

        rows = self.export("changes")

        assert [(row["line"], row["line_total"], row["total"]) for row in rows] == [
            ("a", "0", "0"),
            ("b", "0", "0"),
        ]
        assert {row["cancelled"] for row in rows} == {"true"}

    @settings_with()
    def test_cancelled_and_gone(self):
        order = self.create("1", placed_at=BEFORE, lines=())
        row = ButtonOrder.objects.get()
        row.cancel()
        Order.objects.filter(pk=order.pk)._raw_delete("default")
        change(row)

        assert self.ids("changes") == []
        assert self.complaints == [
            "1: The order is cancelled, and its line items are not known."
        ]


class ChangesTests(BatchFileTestCase):
    def create(self, order_id, purchase_date=BEFORE, **values):
        return create_row(
            order_id=order_id, purchase_date=purchase_date, line_items=ITEMS, **values
        )

    @settings_with()
    def test_changed_in_the_time(self):
        for name, moment, revision in (
            ("too early", DAY - timedelta(seconds=1), 2),
            ("first", DAY, 2),
            ("never changed", NOON, 1),
            ("last", DAY + timedelta(hours=23), 3),
            ("too late", DAY + timedelta(days=1), 2),
        ):
            row = self.create(name)
            change(row, updated_at=moment, revision=revision, status="reported")

        assert self.ids("changes") == ["first", "last"]

    @settings_with()
    def test_changed_in_the_time_and_tried_again_since(self):
        for status in ("pending", "failed", "reported"):
            row = self.create(status)
            later = DAY + timedelta(days=1)
            change(row, updated_at=later, revision=2, status=status)

        assert self.ids("changes") == ["pending", "failed"]

    @settings_with()
    def test_bought_in_the_time(self):
        """It is a change only if Button knew the order before it."""
        change(self.create("unknown", NOON), revision=2)
        acknowledge(self.create("settled", NOON), revision=2, reported_revision=2)
        different = self.create("different", NOON)
        acknowledge(different)
        change(different, revision=2, total=6000, status="pending")
        cancelled = self.create("cancelled", NOON)
        acknowledge(cancelled)
        ButtonOrder.objects.get(order_id="cancelled").cancel()
        change(cancelled)

        assert self.ids("changes") == ["different", "cancelled"]

    @settings_with(STATE)
    def test_cancelled(self):
        row = self.create("1")
        acknowledge(row)
        ButtonOrder.objects.get().cancel()
        change(row)

        assert self.export("changes") == [
            {
                "order_id": "1",
                "line": line,
                "total": "0",
                "line_total": "0",
                "quantity": "0",
                "cancelled": "true",
            }
            for line in ("mug", "tea")
        ]

    @settings_with()
    def test_dismissed(self):
        change(self.create("1"), revision=2, status="dismissed")

        assert self.ids("changes") == []

    @override_settings(BUTTON_ORDERS=button_settings())
    def test_default_columns(self):
        change(self.create("1"), revision=2)

        [first, _] = self.export("changes")

        assert first["updated_date"] == "2026-11-01T12:00:00Z"
        assert first["is_cancelled"] == "false"


class ForeignTests(BatchFileTestCase):
    """Orders that Button must not get from here, so that no live order is changed."""

    @settings_with()
    def test_taken(self):
        change(create_row(line_items=ITEMS), status="failed", reason="taken")

        assert self.ids("new") == []
        [complaint] = self.complaints
        assert complaint.startswith("1994: Button has another order under this ID")
        assert self.counts["failed"] == 1

    @settings_with()
    def test_changed_after_it_was_taken(self):
        row = create_row(line_items=ITEMS, purchase_date=BEFORE)
        change(row, status="failed", reason="taken", revision=2)

        assert self.ids("changes") == []
        assert self.counts["failed"] == 1

    @settings_with()
    def test_other_site(self):
        acknowledge(create_row(line_items=ITEMS), site="live")

        assert self.ids("new") == []
        assert self.complaints == [
            "1994: The site live reports this order, and SITE is not set here."
        ]

    @settings_with(SITE="staging")
    def test_changes_of_other_site(self):
        row = create_row(line_items=ITEMS, purchase_date=BEFORE)
        acknowledge(row, site="live", revision=2, reported_digest="")

        assert self.ids("changes") == []
        assert self.complaints == [
            "1994: The site live reports this order, and SITE is staging here."
        ]

    @settings_with(SITE="live")
    def test_this_site(self):
        acknowledge(create_row(line_items=ITEMS), site="live")

        assert self.ids("new") == ["1994"]

    @settings_with()
    def test_not_in_the_period(self):
        """An order that would not be in the file is no error."""
        row = create_row(line_items=ITEMS, purchase_date=BEFORE)
        change(row, status="failed", reason="taken")

        assert self.ids("new") == []
        assert self.complaints == []


@settings_with()
class PageTests(BatchFileTestCase):
    def test_pages(self):
        row = create_row(line_items=ITEMS)
        values = {
            field.attname: getattr(row, field.attname)
            for field in ButtonOrder._meta.concrete_fields
            if not field.primary_key
        }
        values["next_attempt_at"] = values["created_at"] = values["updated_at"] = NOON
        ButtonOrder.objects.bulk_create(
            ButtonOrder(**{**values, "order_id": f"{number}"}) for number in range(1200)
        )

        with self.assertNumQueries(3):
            assert len(self.ids("new")) == 1201
