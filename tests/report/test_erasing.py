from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.test import SimpleTestCase

from django_button_orders.report.erasing import (
    KEPT_OF_LINE,
    erased_lines,
    hash_any_email,
    without_customer,
    without_personal_data,
)
from django_button_orders.report.objects import (
    LINE_ITEM_CLEANERS,
    ORDER_CLEANERS,
    Customer,
    LineItem,
    hash_email,
    is_customer_refused,
    is_same_order,
)
from tests.delivery.utils import good_report

LINE = {
    "identifier": "MUG-1",
    "total": 1,
    "amount": 1,
    "quantity": 1,
    "sku": "MUG",
    "upc": "4",
    "category": ["Home"],
}
TEXTS = {"description": "for Jane", "attributes": {"gift": "Jane"}}


def full_report():
    return good_report(
        order_id="1994",
        btn_ref="srctok-1",
        customer_order_id="J-1",
        customer=Customer(id="jane", email="jane@shop.com", device_id="d"),
        line_items=[LineItem(**LINE, **TEXTS)],
        partner_order_channel="app",
    )


class ReportTests(SimpleTestCase):
    def test_what_stays(self):
        payload = without_personal_data(full_report()).as_payload()

        assert payload == {
            "order_id": "1994",
            "total": 1,
            "currency": "USD",
            "purchase_date": "2026-11-01T12:00:00Z",
            "partner_order_channel": "app",
            "line_items": [LINE],
        }

    def test_twice(self):
        once = without_personal_data(full_report())
        assert without_personal_data(once) == once

    def test_each_field_is_decided(self):
        """A new field of a report needs a decision whether it is erased."""
        assert set(KEPT_OF_LINE) | TEXTS.keys() == LINE_ITEM_CLEANERS.keys()
        assert len(ORDER_CLEANERS) == 10

    def test_rows_are_erased_like_reports(self):
        fields = full_report().as_fields()
        erased = without_personal_data(full_report()).as_fields()
        assert erased_lines(fields["line_items"]) == erased["line_items"]


class LineTests(SimpleTestCase):
    def test_what_is_no_line(self):
        assert erased_lines(None) is None
        assert erased_lines("jane") is None
        assert erased_lines({"jane": 1}) is None
        assert erased_lines(["jane", {"name": "jane"}]) == [{}]


class DigestTests(SimpleTestCase):
    def test_customer(self):
        digest = full_report().digest()

        erased = without_customer(digest)

        assert is_same_order(digest, erased)
        assert digest[32:] not in erased
        assert not is_customer_refused(erased)

    def test_others(self):
        assert without_customer("cancelled") == "cancelled"
        assert without_customer("") == ""


class EmailTests(SimpleTestCase):
    def test_as_for_a_report(self):
        assert hash_any_email(" Jane@Shop.com ") == hash_email("jane@shop.com")

    def test_dummy(self):
        assert hash_email("jane@shop.invalid") == ""
        assert len(hash_any_email("jane@shop.invalid")) == 64

    def test_no_address(self):
        for value in ("jane", "", None):
            with pytest.raises(ValidationError):
                hash_any_email(value)
