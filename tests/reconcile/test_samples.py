from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta, timezone

from django.test import SimpleTestCase

from django_button_orders import Customer, LineItem, OrderReport
from django_button_orders.reconcile.samples import (
    after_partial_return,
    as_sample,
    choose_samples,
    make_order,
)

NOW = datetime(2026, 11, 30, 12, tzinfo=timezone.utc)
TOKEN = "srctok-0123456789abcdef"
CUSTOMER = Customer(
    id="u-77", email="ada@shop.com", device_id="38400000-8cf0-11bd-b23e", is_new=True
)


def make_report(*totals, **values):
    """Return the report of an order with a line for each total."""
    lines = [
        LineItem(identifier=f"line-{at}", total=total)
        for at, total in enumerate(totals, start=1)
    ]
    return OrderReport(
        **{
            "order_id": "WEB-10042",
            "total": sum(totals),
            "currency": "EUR",
            "purchase_date": NOW - timedelta(days=3),
            "btn_ref": TOKEN,
            "line_items": lines,
            **values,
        }
    )


class AsSampleTests(SimpleTestCase):
    def sample(self, **values):
        return as_sample(make_report(3000, 2400, **values), NOW, btn_ref="fakesrctok-1")

    def test_its_own_ids_and_date(self):
        sample = self.sample(customer_order_id="10042")

        assert re.fullmatch("preflight-20261130-[0-9a-f]{8}", sample.order_id)
        assert sample.customer_order_id == f"{sample.order_id}-c"
        assert (sample.btn_ref, sample.purchase_date) == ("fakesrctok-1", NOW)
        assert self.sample().order_id != sample.order_id

    def test_the_shape_of_the_real_order(self):
        sample = self.sample(partner_order_channel="app")

        assert (sample.total, sample.currency) == (5400, "EUR")
        assert [line.total for line in sample.line_items] == [3000, 2400]
        assert sample.partner_order_channel == "app"
        assert sample.customer_order_id == ""
        assert sample.customer is None

    def test_an_invented_customer_with_the_same_fields(self):
        sample = self.sample(customer=CUSTOMER)
        expected = hashlib.sha256(b"preflight@example.com").hexdigest()

        assert sample.customer.as_dict() == {
            "id": "preflight-customer",
            "email_sha256": expected,
            "device_id": "00000000-0000-4000-8000-000000000000",
            "is_new": False,
        }
        assert self.sample(customer=Customer(id="7")).customer.as_dict() == {
            "id": "preflight-customer"
        }

    def test_nothing_of_the_real_order_in_its_lines(self):
        line = LineItem(
            identifier="WEB-10042/1",
            total=5400,
            sku="MUG-1",
            category=["Home", "u-77"],
            description="Mug for ada@shop.com",
            attributes={"order": "WEB-10042-7", "size": "XL", "token": TOKEN},
        )
        sample = self.sample(
            line_items=[line], customer=CUSTOMER, customer_order_id="10042-7"
        )
        (shown,) = sample.line_items
        text = str(shown.as_dict())

        for secret in ("10042", "ada@", "u-77", TOKEN):
            assert secret not in text
        assert (shown.sku, shown.category[0]) == ("MUG-1", "Home")
        assert shown.attributes["size"] == "XL"

    def test_a_short_id_stays_in_texts(self):
        """It may stand there by chance."""
        line = LineItem(identifier="1", total=5400, description="Shoes, size 42")
        (shown,) = self.sample(order_id="42", line_items=[line]).line_items

        assert shown.description == "Shoes, size 42"

    def test_no_finalization_date(self):
        """That of the real order may have passed."""
        assert self.sample(finalization_date=NOW).finalization_date is None


class ChooseSamplesTests(SimpleTestCase):
    def choose(self, *reports):
        return choose_samples(reports, currency="JPY", now=NOW)

    def test_fake_tokens(self):
        first, second = self.choose(make_report(10, 20))
        other, _ = self.choose(make_report(10, 20))

        assert re.fullmatch("fakesrctok-[0-9a-f]{16}", first.btn_ref)
        assert first.btn_ref != other.btn_ref
        assert second.btn_ref == ""
        assert first.order_id != second.order_id

    def test_the_newest_with_two_lines_and_the_newest(self):
        reports = [make_report(1), make_report(500), make_report(2, 3)]
        first, second = self.choose(*reports, make_report(7, 8))

        # Nothing can be returned of the first one.
        assert (first.total, second.total) == (5, 500)

    def test_no_order_has_two_lines(self):
        first, second = self.choose(make_report(500))

        assert [line.total for line in first.line_items] == [500, 500]
        assert (first.total, second.total) == (1000, 500)
        assert after_partial_return(first).total == 500

    def test_no_order_has_lines(self):
        first, second = self.choose(make_report(total=500))

        assert (first.total, first.line_items, second.total) == (500, (), 500)

    def test_a_shop_without_orders(self):
        first, second = self.choose()

        assert (first.currency, second.currency) == ("JPY", "JPY")
        assert len(first.line_items) == 2
        assert first.total == sum(line.total for line in first.line_items)


class PartialReturnTests(SimpleTestCase):
    def returned(self, *totals, **values):
        report = after_partial_return(make_report(*totals, **values))
        return report.total, [line.total for line in report.line_items]

    def test_the_last_line(self):
        assert self.returned(3000, 2400) == (3000, [3000])
        report = after_partial_return(make_order("USD", NOW))
        assert (report.total, len(report.line_items)) == (3000, 1)

    def test_not_the_line_of_a_discount(self):
        assert self.returned(3000, 2400, -400) == (2600, [3000, -400])

    def test_one_line(self):
        assert self.returned(3001) == (1500, [1500])

    def test_one_line_and_a_discount(self):
        """Button's QA sees lines that sum to the total."""
        assert self.returned(3000, -400) == (1300, [1700, -400])

    def test_no_lines(self):
        assert self.returned(total=81) == (40, [])

    def test_lines_that_exceed_the_total(self):
        assert self.returned(3000, 2400, total=2000) == (1000, [2444, 1956])

    def test_the_rest_stays(self):
        report = make_report(3000, 2400, customer=CUSTOMER)
        returned = after_partial_return(report)

        assert returned.order_id == report.order_id
        assert returned.customer == report.customer
        assert returned.purchase_date == report.purchase_date
