from __future__ import annotations

import csv
import io
import tracemalloc
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_button_orders.admin.export import COLUMNS, PAGE_SIZE
from django_button_orders.models import ButtonOrder
from tests.admin.utils import LIST_URL, AdminTestCase
from tests.shop.models import Order
from tests.utils import PURCHASED, create_row

URL = reverse("admin:django_button_orders_buttonorder_export")
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "reference" / "admin.rst"
STARTS = {*"=+-@\t\r\uff1d\uff0b\uff0d\uff20"}
FORMULAS = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    "\uff1d1",
    "a;=1",
    "a\n-1",
)


class ExportTestCase(AdminTestCase):
    def export(self, query=""):
        """Return the parsed rows of the export."""
        return self.read(self.client.get(f"{URL}{query}"))

    def read(self, response):
        assert response.status_code == 200
        text = b"".join(response.streaming_content).decode()
        return list(csv.DictReader(io.StringIO(text, newline="")))


class ExportTests(ExportTestCase):
    def test_columns(self):
        self.put(
            status="failed",
            reason="refused",
            attempts=3,
            next_attempt_at=None,
            last_status_code=422,
            last_error="Too late",
            button_order_id="btnorder-1",
            created_at=datetime(2026, 11, 2, 6, tzinfo=timezone.utc),
        )

        assert self.export() == [
            {
                "account": "default",
                "order_id": "1994",
                "status": "failed",
                "reason": "refused",
                "total": "70.00",
                "currency": "USD",
                "reported_total": "",
                "late_amount": "",
                "purchase_date": "2026-11-01T12:00:00+00:00",
                "attempts": "3",
                "next_attempt_at": "",
                "last_status_code": "422",
                "last_error": "Too late",
                "source": "",
                "source_id": "",
                "button_order_id": "btnorder-1",
                "cancel_requested_at": "",
                "reported_at": "",
                "finalizes_at": "",
                "created_at": "2026-11-02T06:00:00+00:00",
            }
        ]

    def test_documented(self):
        section = DOCUMENTATION.read_text().partition("\nExport\n")[2]

        positions = [section.index(f"``{name}``") for name in COLUMNS]
        assert positions == sorted(positions)

    def test_shop_order(self):
        order = Order.objects.create(number="1995")

        [row, _other] = self.export()

        assert (row["source"], row["source_id"]) == ("shop.order", str(order.pk))

    def test_amounts(self):
        amounts = {
            (7000, "JPY"): "7000",
            (7000, "KWD"): "7.000",
            (7000, "XXX"): "",
            (None, "USD"): "",
        }
        for (total, currency), text in amounts.items():
            with self.subTest(total=total, currency=currency):
                self.put(total=total, currency=currency)

                assert self.export()[0]["total"] == text

    def test_change_window(self):
        self.put(reported_total=4500, late_amount=-500, finalizes_at=PURCHASED)

        [row] = self.export()

        assert (row["reported_total"], row["late_amount"]) == ("45.00", "-5.00")
        assert row["finalizes_at"] == "2026-11-01T12:00:00+00:00"

    @override_settings(LANGUAGE_CODE="de", USE_THOUSAND_SEPARATOR=True)
    def test_numbers_are_the_same_in_every_language(self):
        self.put(total=123456700)

        assert Decimal(self.export()[0]["total"]) == Decimal("1234567.00")

    def test_no_customers(self):
        self.put(
            customer={"id": "u-77"},
            customer_order_id="c-77",
            btn_ref="t-77",
            line_items=[{"identifier": "i-77", "total": 1}],
        )

        assert not any("-77" in value for value in self.export()[0].values())

    def test_newest_first(self):
        create_row(order_id="1995")

        assert [row["order_id"] for row in self.export()] == ["1995", "1994"]

    def test_headers(self):
        response = self.client.get(URL)

        assert response["Content-Type"] == "text/csv; charset=utf-8"
        disposition = response["Content-Disposition"]
        assert disposition.startswith('attachment; filename="button-orders-20')

    def test_text_that_is_not_ascii(self):
        self.put(last_error="Zu spät: 遅すぎる")

        assert self.export()[0]["last_error"] == "Zu spät: 遅すぎる"

    def test_separators(self):
        self.put(last_error='a,"b"\nc')

        assert self.export()[0]["last_error"] == 'a,"b"\nc'


class FormulaTests(ExportTestCase):
    """No text of the shop or of Button becomes a formula in a spreadsheet."""

    def test_each(self):
        for text in FORMULAS:
            with self.subTest(text=text):
                self.put(last_error=text)

                exported = self.export()[0]["last_error"]

                assert exported.replace("'", "") == text
                for cell in exported.replace("\n", ";").split(";"):
                    assert cell.lstrip(" ")[:1] not in STARTS

    def test_every_text(self):
        self.put(order_id="=1", source_id="=1", button_order_id="=1", account="=1")

        values = self.export()[0].values()

        assert "=1" not in values
        assert list(values).count("'=1") == 4

    def test_harmless_texts_stay_as_they_are(self):
        for text in ("2026-11-42", "a=b", "a + b", "7"):
            with self.subTest(text=text):
                self.put(order_id=text)

                assert self.export()[0]["order_id"] == text


class WhichTests(ExportTestCase):
    def setUp(self):
        super().setUp()
        self.other = create_row(order_id="1995", currency="JPY")

    def ids(self, query):
        return [row["order_id"] for row in self.export(query)]

    def test_filters_and_search(self):
        assert self.ids("?currency=JPY") == ["1995"]
        assert self.ids("?q=1994") == ["1994"]
        assert self.ids("?q=1994&currency=JPY") == []
        assert self.ids("?bought_from=2026-11-01&o=4") == ["1995", "1994"]

    def test_filters_that_are_wrong(self):
        response = self.client.get(f"{URL}?bought_from=soon")

        assert response["Location"] == f"{LIST_URL}?e=1"

    def test_selection(self):
        data = {"action": "export_orders", "_selected_action": [self.other.pk]}

        [row] = self.read(self.client.post(LIST_URL, data))

        assert row["order_id"] == "1995"

    def test_all_that_match(self):
        data = {
            "action": "export_orders",
            "_selected_action": [self.other.pk],
            "select_across": "1",
        }

        found = self.read(self.client.post(f"{LIST_URL}?currency=USD", data))

        assert [row["order_id"] for row in found] == ["1994"]

    def test_link_on_the_list(self):
        for codename in ("view_buttonorder", "change_buttonorder"):
            with self.subTest(codename=codename):
                self.log_in(codename, name=codename)

                html = self.client.get(f"{LIST_URL}?currency=JPY").content.decode()

                assert f'<a href="{URL}?currency=JPY">Export as CSV</a>' in html


class ManyOrdersTests(ExportTestCase):
    def add(self, count):
        ButtonOrder.objects.bulk_create(
            ButtonOrder(order_id=f"no {number}", last_error="x" * 500)
            for number in range(count)
        )

    def test_a_page_at_a_time(self):
        self.add(PAGE_SIZE * 2)
        response = self.client.get(URL)
        chunks = iter(response.streaming_content)
        next(chunks)

        with CaptureQueriesContext(connection) as first:
            assert next(chunks).count(b"\n") == PAGE_SIZE
        with CaptureQueriesContext(connection) as others:
            counts = [chunk.count(b"\n") for chunk in chunks]

        assert len(first) == 1
        assert counts == [PAGE_SIZE, 1]
        assert len(others) == 2

    def test_just_a_page(self):
        self.add(PAGE_SIZE - 1)

        assert len(self.export()) == PAGE_SIZE

    def test_orders_that_come_and_go_meanwhile(self):
        self.add(PAGE_SIZE)
        chunks = iter(self.client.get(URL).streaming_content)
        next(chunks), next(chunks)
        ButtonOrder.objects.filter(order_id__startswith="no 1").delete()
        create_row(order_id="later")

        assert b"".join(chunks).startswith(b"default,1994,")

    def test_memory_does_not_grow(self):
        self.add(PAGE_SIZE)
        few = self.peak()
        ButtonOrder.objects.all().delete()
        self.add(PAGE_SIZE * 3)

        assert self.peak() < few * 1.5

    def peak(self):
        """Return the peak memory of an export in bytes."""
        response = self.client.get(URL)
        tracemalloc.start()
        try:
            for _chunk in response.streaming_content:
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


class PermissionTests(ExportTestCase):
    def test_view(self):
        self.log_in("view_buttonorder")

        assert len(self.export()) == 1

    def test_none(self):
        self.log_in("retry_buttonorder")

        assert self.client.get(URL).status_code == 403

    def test_anonymous(self):
        self.client.logout()

        assert "/login/" in self.client.get(URL)["Location"]

    def test_post(self):
        assert self.client.post(URL).status_code == 405
