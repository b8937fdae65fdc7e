from __future__ import annotations

import json
from datetime import datetime, timezone

from django.test import SimpleTestCase

from django_button_orders import hash_email
from django_button_orders.files.lines import LONGEST_LINE
from tests.files.utils import errors, read_json, rejected, reports

ORDER = {
    "order_id": "1994",
    "total": 7000,
    "currency": "USD",
    "purchase_date": "2026-11-01T06:00:00-06:00",
}
EMAIL = "Jane@Example.com"


def line(**values):
    return json.dumps({**ORDER, **values}) + "\n"


class JSONLinesTests(SimpleTestCase):
    def read_one(self, **values):
        [report] = reports(read_json(line(**values)))
        return report

    def refused(self, **values):
        [error] = errors(read_json(line(**values)))
        return error

    def test_all_fields(self):
        values = {
            "btn_ref": "fakesrctok-1",
            "customer_order_id": "Bestellung 7 \u00fc",
            "customer": {"id": "u7", "is_new": True},
            "line_items": [
                {
                    "identifier": "a",
                    "total": 7000,
                    "quantity": 2,
                    "amount": 3500,
                    "category": ["Home", "Kitchen"],
                    "attributes": {"size": "L"},
                }
            ],
            "partner_order_channel": "app",
            "finalization_date": "2026-12-01T12:00:00Z",
        }

        report = self.read_one(**values)

        assert report.as_payload() == {
            **ORDER,
            **values,
            "purchase_date": "2026-11-01T12:00:00Z",
        }

    def test_purchase_date_is_a_moment(self):
        moment = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)

        assert self.read_one().purchase_date == moment

    def test_date_that_is_none(self):
        for date in ("2026-11-01", "soon", "2026-13-01T00:00:00Z", 5, [], True):
            with self.subTest(date=date):
                error = self.refused(purchase_date=date)

                assert error.startswith("line 1: purchase_date: Enter a date")

    def test_date_without_a_zone(self):
        assert self.refused(purchase_date="2026-11-01T12:00:00") == (
            "line 1: purchase_date: Enter a datetime with a time zone, or set one "
            "for all dates: --time-zone Europe/Berlin."
        )

    def test_email_is_hashed(self):
        customer = self.read_one(customer={"id": "u7", "email": EMAIL}).customer

        assert customer.as_dict() == {"id": "u7", "email_sha256": hash_email(EMAIL)}

    def test_email_is_in_no_reason(self):
        for values in (
            {"customer": {"email": EMAIL, "email_sha256": "0" * 64}},
            {"customer": {"email": EMAIL, EMAIL: 1}},
            {"customer": {"id": EMAIL}},
            {"customer": EMAIL},
            {EMAIL: "x"},
            {"currency": EMAIL},
            {"purchase_date": EMAIL},
            {"line_items": [{"identifier": "1", EMAIL: 1}]},
        ):
            with self.subTest(values=values):
                assert EMAIL not in self.refused(**values)

    def test_amounts_are_minor_units(self):
        for total in (70.5, 7000.0, "7000", True):
            with self.subTest(total=total):
                assert "total: Enter an integer" in self.refused(total=total)

    def test_amounts_that_say_they_are_decimal(self):
        report = self.read_one(
            total=70.10,
            total_as_decimal=True,
            line_items=[{"identifier": "a", "total": 70.10, "amount": 35}],
        )

        assert report.total == 7010
        assert report.line_items[0].total == 7010
        assert report.line_items[0].amount == 3500

    def test_decimal_amount_with_too_many_decimals(self):
        assert "USD can have at most 2 decimal places" in self.refused(
            total=1.005, total_as_decimal=True
        )

    def test_flag_that_is_no_flag(self):
        assert self.refused(total_as_decimal="yes") == (
            "line 1: total_as_decimal: Enter true or false."
        )

    def test_missing_fields(self):
        [error] = errors(read_json("{}"))

        for name in ORDER:
            assert f"{name}: " in error

    def test_unknown_field(self):
        assert self.refused(totl=1).startswith("line 1: Unknown keys: totl.")

    def test_lines_that_are_no_orders(self):
        for text, reason in (
            ("{", "This is not JSON: Expecting property name"),
            ("[]", "Enter a JSON object"),
            ("7", "Enter a JSON object"),
            ('{"total": NaN}', "NaN is not JSON"),
            ('{"total": 1, "total": 2}', "the same name twice"),
            ("[" * 100_000, "nested too deeply"),
            ('{"total": ' + "1" * 5000 + "}", "line 1: "),
            ('{"total": 1e999999999999999999999}', "line 1: "),
        ):
            with self.subTest(text=text[:40]):
                [error] = errors(read_json(text))

                assert reason in error

    def test_the_rest_goes_on(self):
        entries = read_json(line(order_id="1") + "nonsense\n" + line(order_id="2"))

        assert [report.order_id for report in reports(entries)] == ["1", "2"]
        assert [error[:7] for error in errors(entries)] == ["line 2:"]

    def test_blank_lines(self):
        entries = read_json("\n  \r\n" + line() + "\n\nx\n")

        assert len(reports(entries)) == 1
        assert errors(entries)[0].startswith("line 6: ")

    def test_byte_order_mark(self):
        entries = read_json(b"\xef\xbb\xbf" + line().encode())

        assert len(reports(entries)) == 1

    def test_line_breaks_of_windows(self):
        assert len(reports(read_json(line().replace("\n", "\r\n")))) == 1

    def test_bytes_that_are_no_text(self):
        content = line(order_id="1").encode() + b'{"order_id": "\xff"}\n{"a\0": 1}\n'

        assert errors(read_json(content)) == [
            "line 2: The line is not valid UTF-8. Set the encoding of the file, such "
            "as --encoding cp1252.",
            "line 3: The line has a null character.",
        ]

    def test_escapes_that_are_no_text(self):
        assert "valid UTF-8" in self.refused(customer_order_id="\ud800")
        assert "null" in self.refused(customer_order_id="\0")

    def test_line_that_is_too_long(self):
        content = line(order_id="1") + "x" * (3 * LONGEST_LINE) + "\n" + line()

        entries = read_json(content)

        assert len(reports(entries)) == 2
        assert errors(entries) == ["line 2: The line is longer than 1 MiB."]
        assert rejected(entries).decode() == "x" * (3 * LONGEST_LINE) + "\n"

    def test_rejects_are_the_lines_as_they_are(self):
        bad = b'  {"order_id" :"\xff"}\r\n'

        assert rejected(read_json(line().encode() + bad + line().encode())) == bad

    def test_last_line_without_an_end(self):
        assert rejected(read_json("{}\n{}")) == b"{}\n{}\n"
