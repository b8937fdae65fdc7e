from __future__ import annotations

from io import BytesIO

import pytest
from django.test import SimpleTestCase

from django_button_orders import hash_email
from django_button_orders.files.cells import COLUMNS
from django_button_orders.files.forms import UnreadableFileError
from django_button_orders.files.lines import LONGEST_LINE, Lines
from django_button_orders.files.tables import MOST_ROWS_OF_AN_ORDER, Table
from tests.files.utils import errors, open_table, read_table, rejected, reports

HEAD = "order_id,total,currency,purchase_date,line_item_identifier,line_item_total"
DATE = "2026-11-01T12:00:00Z"


def row(order_id="1", identifier="a", item_total="7000", total="7000"):
    return f"{order_id},{total},USD,{DATE},{identifier},{item_total}"


def table(*rows, head=HEAD):
    return "".join(f"{line}\n" for line in (head, *rows))


def order_ids(entries):
    return [report.order_id for report in reports(entries)]


class TableTests(SimpleTestCase):
    def test_one_row_for_each_line_item(self):
        entries = read_table(
            table(row("1", "a", "3000"), row("1", "b", "4000"), row("2"))
        )

        assert order_ids(entries) == ["1", "2"]
        assert [item.as_dict() for item in reports(entries)[0].line_items] == [
            {"identifier": "a", "total": 3000},
            {"identifier": "b", "total": 4000},
        ]

    def test_order_without_line_items(self):
        head = "order_id,total,currency,purchase_date"

        [report] = reports(read_table(table(f"1,0,JPY,{DATE}", head=head)))

        assert report.as_payload()["total"] == 0
        assert report.line_items == ()

    def test_all_columns(self):
        cells = {
            "order_id": "1994",
            "total": "7000",
            "currency": "USD",
            "purchase_date": DATE,
            "btn_ref": "fakesrctok-1",
            "customer_order_id": "no. 7",
            "partner_order_channel": "webview",
            "finalization_date": DATE,
            "total_as_decimal": "false",
            "customer_id": "u7",
            "customer_email": " Jane@Example.com",
            "customer_email_sha256": "",
            "customer_device_id": "d7",
            "customer_is_new": "TRUE",
            "line_item_identifier": "a",
            "line_item_total": "7000",
            "line_item_amount": "3500",
            "line_item_quantity": "2",
            "line_item_description": '"A ""mug"", blue\nand small"',
            "line_item_sku": "MUG",
            "line_item_upc": "400",
            "line_item_category": "Home > Kitchen",
            "line_item_attributes": '"{""size"": ""L""}"',
        }
        assert set(cells) == set(COLUMNS)

        [report] = reports(
            read_table(table(",".join(cells.values()), head=",".join(cells)))
        )

        assert report.as_payload() == {
            "order_id": "1994",
            "total": 7000,
            "currency": "USD",
            "purchase_date": DATE,
            "btn_ref": "fakesrctok-1",
            "customer_order_id": "no. 7",
            "customer": {
                "id": "u7",
                "email_sha256": hash_email("jane@example.com"),
                "device_id": "d7",
                "is_new": True,
            },
            "line_items": [
                {
                    "identifier": "a",
                    "total": 7000,
                    "amount": 3500,
                    "quantity": 2,
                    "description": 'A "mug", blue\nand small',
                    "sku": "MUG",
                    "upc": "400",
                    "category": ["Home", "Kitchen"],
                    "attributes": {"size": "L"},
                }
            ],
            "partner_order_channel": "webview",
            "finalization_date": DATE,
        }

    def test_decimal_amounts(self):
        head = f"{HEAD},total_as_decimal"
        rows = [f"{row('1', 'a', '70.10', '70.10')},{flag}" for flag in ("true", "")]

        [report] = reports(read_table(table(rows[0], head=head)))
        [error] = errors(read_table(table(rows[1], head=head)))

        assert (report.total, report.line_items[0].total) == (7010, 7010)
        assert error.startswith("line 2: total: Enter an integer of minor units")

    def test_cells_that_are_wrong(self):
        for column, cell, reason in (
            ("total", "12,34", "total: Enter an integer of minor units"),
            ("total", "7e3", "total: Enter an integer of minor units"),
            ("total", "-1", "total: Enter an integer from 0"),
            ("total", "9" * 30, "total: Enter an integer of minor units"),
            ("line_item_total", "1.5", "line_item_total: Enter an integer of minor"),
            ("currency", "usd", "currency: Enter the ISO 4217 code"),
            ("currency", "", "currency: Enter the ISO 4217 code"),
            (
                "purchase_date",
                "1.11.2026",
                "purchase_date: Enter a date and time",
            ),
            ("line_item_identifier", "", "identifier: This field is required"),
        ):
            with self.subTest(column=column, cell=cell):
                cells = dict(zip(HEAD.split(","), row().split(","), strict=True))
                cells[column] = f'"{cell}"'

                [error] = errors(read_table(table(",".join(cells.values()))))

                assert error.startswith("line 2: ")
                assert reason in error

    def test_other_cells_that_are_wrong(self):
        for column, cell in (
            ("customer_is_new", "perhaps"),
            ("line_item_quantity", "two"),
            ("line_item_attributes", "{"),
            ("total_as_decimal", "perhaps"),
        ):
            with self.subTest(column=column):
                content = table(f"{row()},{cell}", head=f"{HEAD},{column}")

                [error] = errors(read_table(content))

                assert error.startswith(f"line 2: {column}: Enter ")


class HeaderTests(SimpleTestCase):
    def refused(self, content, **options):
        with pytest.raises(UnreadableFileError) as caught:
            open_table(content, **options)
        return str(caught.value)

    def test_titles(self):
        head = HEAD.replace("_", " ").title()

        assert order_ids(read_table(table(row(), head=head))) == ["1"]

    def test_delimiters(self):
        for delimiter in ";\t":
            with self.subTest(delimiter=delimiter):
                content = table(row()).replace(",", delimiter)

                assert order_ids(read_table(content)) == ["1"]

    def test_byte_order_mark(self):
        for marks in (1, 2):
            with self.subTest(marks=marks):
                content = b"\xef\xbb\xbf" * marks + table(row()).encode()

                assert order_ids(read_table(content)) == ["1"]

    def test_padded_titles(self):
        for head in (
            HEAD.replace("_", " ").title().replace(",", " , "),
            HEAD.replace("order_id", "Order\u00a0ID"),
            HEAD.upper(),
        ):
            with self.subTest(head=head):
                assert order_ids(read_table(table(row(), head=head))) == ["1"]

    def test_quoted_titles(self):
        for delimiter in ",;\t":
            with self.subTest(delimiter=delimiter):
                head = ",".join(f'"{title}"' for title in HEAD.split(","))
                content = table(row(), head=head).replace(",", delimiter)

                assert order_ids(read_table(content)) == ["1"]

    def test_delimiter_that_is_in_a_title(self):
        head = f"{HEAD.replace(',', ';')};Colour, size, weight"
        content = table(row().replace(",", ";") + ";x", head=head)

        assert order_ids(read_table(content, ignore_unknown=True)) == ["1"]

    def test_line_that_names_the_delimiter(self):
        for first, delimiter in (("sep=;", ";"), ('"SEP=|"', "|"), ("sep=\t", "\t")):
            with self.subTest(first=first):
                content = f"{first}\n" + table(row("x x"), row()).replace(
                    ",", delimiter
                )

                assert order_ids(read_table(content)) == ["x x", "1"]
                assert open_table(content).head[0].raw == f"{first}\n".encode()

    def test_delimiter_at_the_end(self):
        content = table(f"{row()},", head=f"{HEAD},")

        assert order_ids(read_table(content)) == ["1"]

    def test_values_without_a_title(self):
        content = table(f"{row('1')},7", f"{row('2')},", head=f"{HEAD},")

        assert errors(read_table(content)) == [
            "line 2: The row has a value in a column without a title."
        ]
        assert order_ids(read_table(content)) == ["2"]
        assert order_ids(read_table(content, ignore_unknown=True)) == ["1", "2"]

    def read_one(self, content, **names):
        [report] = reports(read_table(content, names=names))
        return report

    def test_map_wins_over_a_column_of_that_name(self):
        content = table(f"{row()},5", head=f"{HEAD},Subtotal")

        assert self.read_one(content, total="Subtotal").total == 5

    def test_one_column_for_two_of_ours(self):
        content = table(row()).replace("order_id", "Number")

        report = self.read_one(content, order_id="Number", customer_order_id="Number")
        assert (report.order_id, report.customer_order_id) == ("1", "1")

        report = self.read_one(table(row()), customer_order_id="order_id")
        assert (report.order_id, report.customer_order_id) == ("1", "1")

    def test_map_does_not_mind_case_and_spaces(self):
        content = table(row()).replace("order_id", '" Order  Number"')

        assert self.read_one(content, order_id="order number").order_id == "1"

    def test_map_to_one_of_two_that_differ_in_case(self):
        content = table(f"{row('1')},2", head=f"{HEAD},ORDER_ID")

        assert self.read_one(content, order_id="ORDER_ID").order_id == "2"

    def test_map_to_what_the_file_does_not_have(self):
        content = table(row(), head=HEAD.replace("order_id", "jane@example.com"))

        assert self.refused(content, names={"total": "Sum", "order_id": "No."}) == (
            "The file has no column 'Sum', 'No.'. Its columns are '[e-mail]', 'total', "
            "'currency', 'purchase_date', 'line_item_identifier', 'line_item_total'."
        )

    def test_column_of_order_and_line(self):
        """The total of a line must not be taken for that of the order."""
        head = "order_id,Total,currency,purchase_date,line_item_identifier"
        content = table(f"1,7000,USD,{DATE},a", head=head)
        names = {"line_item_total": "Total"}

        assert "Also map a column to total" in self.refused(content, names=names)
        report = self.read_one(content, total="Total", **names)
        assert (report.total, report.line_items[0].total) == (7000, 7000)

    def test_other_names(self):
        head = HEAD.replace("order_id", "Order, no.").replace("total,c", "Sum,c", 1)
        head = head.replace("Order, no.", '"Order, no."')
        names = {"order_id": "Order, no.", "total": "Sum"}

        assert order_ids(read_table(table(row(), head=head), names=names)) == ["1"]

    def test_no_order_id(self):
        for head in ("number,total", '"number";"total"', "number"):
            with self.subTest(head=head):
                assert "has no column order_id" in self.refused(f"{head}\n1,2\n")

    def test_unknown_columns(self):
        content = table(f"{row()},x", head=f"{HEAD},Colour")

        assert self.refused(content).startswith("Unknown columns: Colour.")
        assert order_ids(read_table(content, ignore_unknown=True)) == ["1"]

    def test_two_columns_with_a_name(self):
        content = table(f"{row()},2", head=f"{HEAD},Order ID")

        assert self.refused(content) == "More than one column is mapped to order_id."

    def test_header_that_cannot_be_read(self):
        for head in (b'order_id,"total', b'"order_id"x;total', b"order_id,\xff"):
            with self.subTest(head=head):
                assert "cannot be read" in self.refused(head + b"\n1,2\n")

    def test_nothing(self):
        for content in ("", "\n\n"):
            assert self.refused(content) == "The file is empty."

    def test_header_alone(self):
        assert read_table(table()) == []


class RowsOfAnOrderTests(SimpleTestCase):
    def test_contradiction(self):
        entries = read_table(table(row("1", "a"), row("1", "b", total="1"), row("2")))

        assert order_ids(entries) == ["2"]
        assert errors(entries) == [
            "line 2: total: Row 2 of the order has another value."
        ]

    def lines(self, *rows):
        [report] = reports(read_table(table(*rows)))
        return [(item.identifier, item.total) for item in report.line_items]

    def test_one_article_on_two_lines(self):
        """No line is lost, whether the rows repeat the order or not."""
        for again in (row("1", "a", "5"), "1,,,,a,5", ",,,,a,5"):
            with self.subTest(again=again):
                found = self.lines(row("1", "a", "5"), again, row("1", "b", "5"))

                assert found == [("a", 5), ("a-2", 5), ("b", 5)]

    def test_one_article_on_later_lines(self):
        found = self.lines(row("1", "b", "5"), *["1,,,,a,5"] * 2)

        assert found == [("b", 5), ("a", 5), ("a-2", 5)]

    def test_identifier_that_stands_twice(self):
        found = self.lines(row("1", "a", "1"), row("1", "a", "2"))

        assert found == [("a", 1), ("a-2", 2)]

    def test_later_rows_need_not_repeat_the_order(self):
        entries = read_table(table(row("1", "a"), "1,,,,b,0"))

        assert len(reports(entries)[0].line_items) == 2

    def test_later_rows_need_not_repeat_the_id(self):
        entries = read_table(
            table(row("1", "a"), ",,,,b,0", ",,,,c,0", row("2", "a"), ",,,,b,0")
        )

        assert [len(report.line_items) for report in reports(entries)] == [3, 2]

    def test_rows_without_an_id_that_repeat_something(self):
        """Such files may repeat the currency, or the customer's address."""
        for again in (",,USD,,b,0", ",7000,,,b,0", f",,USD,{DATE},b,0"):
            with self.subTest(again=again):
                [report] = reports(read_table(table(row("1", "a"), again)))

                assert len(report.line_items) == 2

    def test_row_without_an_id_that_contradicts(self):
        entries = read_table(table(row("1", "a"), ",,EUR,,b,0", row("2")))

        assert order_ids(entries) == ["2"]
        assert errors(entries) == [
            "line 2: currency: Row 2 of the order has another value."
        ]

    def test_row_without_an_id_that_is_an_order(self):
        entries = read_table(table(row("1", "a"), row(""), ",7000,,,,", row("2")))

        assert order_ids(entries) == ["1", "2"]
        assert [error[:17] for error in errors(entries)] == [
            *("line 3: order_id:", "line 4: order_id:")
        ]

    def test_row_without_an_id_that_cannot_be_read(self):
        """A part of an order must never be reported as the whole order."""
        for bad in (",,,,b", ",,,,b,0,x", ',,,,"b"b,0'):
            with self.subTest(bad=bad):
                entries = read_table(table(row("1"), bad, ",,,,c,0", row("2")))

                assert order_ids(entries) == ["2"]
                assert len(errors(entries)) == 1
                assert rejected(entries).count(b"\n") == 3

    def test_rows_without_an_id_below_a_bad_row(self):
        """A part of an order must never be reported as the whole order."""
        entries = read_table(table("1,7000", ",,,,b,0", ",,,,c,0", row("2")))

        assert order_ids(entries) == ["2"]
        assert rejected(entries).count(b"\n") == 3

    def test_more_rows_without_an_id_than_an_order_has(self):
        content = table(row("1", "a"), *[",,,,b,0"] * MOST_ROWS_OF_AN_ORDER, row("2"))

        entries = read_table(content)

        assert order_ids(entries) == ["2"]
        assert len(errors(entries)) == 2

    def test_rows_that_do_not_stand_together(self):
        """A part of an order must never be reported as the whole order."""
        content = table(row("1", "a"), row("2"), row("1", "b"), row("3"))

        entries = read_table(content)

        assert order_ids(entries) == ["2", "3"]
        assert [error[:51] for error in errors(entries)] == [
            "line 2: the rows of this order are not together, or",
            "line 4: the rows of this order are not together, or",
        ]
        assert rejected(entries) == f"{row('1', 'a')}\n{row('1', 'b')}\n".encode()

    def test_one_bad_row_refuses_the_order(self):
        bad = "1,7000,USD"
        entries = read_table(table(row("1", "a"), bad, row("1", "c"), row("2")))

        assert order_ids(entries) == ["2"]
        assert errors(entries) == [
            "line 3: The number of values differs: 3 in the row, 6 in the header."
        ]
        assert rejected(entries).decode().splitlines() == [
            row("1", "a"),
            bad,
            row("1", "c"),
        ]

    def test_rows_without_an_id(self):
        entries = read_table(table(row(""), row(""), row("1")))

        assert len(errors(entries)) == 2
        assert order_ids(entries) == ["1"]


class BadRowTests(SimpleTestCase):
    def test_the_rest_goes_on(self):
        for bad, reason in (
            ('2,"7000,USD', "This is not CSV"),
            ('2,"70"00,USD', "This is not CSV"),
            ("2", "The number of values differs: 1 in the row, 6 in the header."),
            (
                f"{row('2')},x",
                "The number of values differs: 7 in the row, 6 in the header.",
            ),
            (row("caf\u00e9"), "order_id: Enter 1 to 255 printable ASCII"),
        ):
            with self.subTest(bad=bad):
                entries = read_table(table(row("1"), bad, row("3"), row("4")))

                assert order_ids(entries) == ["1", "3", "4"]
                [error] = errors(entries)
                assert error.startswith("line 3: ")
                assert reason in error
                assert rejected(entries) == f"{bad}\n".encode()

    def test_bytes_that_are_no_text(self):
        for bad in (b"2,\xff", b"2,\0"):
            content = table(row("1")).encode() + bad + b"\n" + row("3").encode()

            entries = read_table(content)

            assert order_ids(entries) == ["1", "3"]
            assert errors(entries)[0].startswith("line 3: The line ")
            assert rejected(entries) == bad + b"\n"

    def test_quote_that_is_never_closed(self):
        content = table(row("1"), '2,"', *(row(f"{n}") for n in range(3, 3000)))

        entries = read_table(content)

        assert len(reports(entries)) == 2998
        assert errors(entries) == ["line 3: A quote is not closed."]

    def test_line_that_is_too_long(self):
        long = f"2,{'x' * 2 * LONGEST_LINE}"

        entries = read_table(table(row("1"), long, row("3")))

        assert order_ids(entries) == ["1", "3"]
        assert errors(entries) == ["line 3: The line is longer than 1 MiB."]
        assert rejected(entries).decode() == f"{long}\n"

    def test_blank_lines(self):
        entries = read_table(table("", row("1", "a"), "", row("1", "b"), "x"))

        assert len(reports(entries)[0].line_items) == 2
        assert errors(entries)[0].startswith("line 6: ")

    def test_rows_of_empty_cells(self):
        content = table(",,,,,", row("1", "a"), " , ,\u00a0,,,", row("1", "b"), ",,,,,")

        [report] = reports(read_table(content))

        assert len(report.line_items) == 2
        assert errors(read_table(content)) == []

    def test_padded_cells(self):
        [report] = reports(read_table(table(row(" 1", " a ", "7000 ", "\u00a07000"))))

        assert (report.order_id, report.total) == ("1", 7000)
        assert report.line_items[0].identifier == "a"

    def test_delimiter_at_the_end_of_rows(self):
        assert order_ids(read_table(table(f"{row('1')},", f"{row('2')},,"))) == [
            *("1", "2")
        ]

    def test_rejects_begin_with_the_header(self):
        content = "\ufeff" + table(row("1", total="x"), row("2")).replace("\n", "\r\n")
        table_ = Table(Lines(BytesIO(content.encode())), names={}, ignore_unknown=False)

        found = rejected(read_table(content), head=table_.head)

        assert found.decode() == f"{HEAD}\r\n{row('1', total='x')}\r\n"
