"""Exports of shops, read as the page about backfills says. The people are made up."""

from __future__ import annotations

import csv
import gzip
import io
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory

from django.test import TestCase, override_settings

from django_button_orders import hash_email
from django_button_orders.models import ButtonOrder
from tests.management.utils import call
from tests.utils import button_settings

DOCS = Path(__file__).resolve().parents[2] / "docs" / "howto" / "backfill.rst"
SHOPIFY = (
    "Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,"
    "Accepts Marketing,Currency,Subtotal,Shipping,Taxes,Total,Discount Code,"
    "Discount Amount,Shipping Method,Created at,Lineitem quantity,Lineitem name,"
    "Lineitem price,Lineitem compare at price,Lineitem sku,"
    "Lineitem requires shipping,Lineitem taxable,Lineitem fulfillment status,"
    "Billing Name,Notes,Note Attributes,Cancelled at,Payment Method,"
    "Refunded Amount,Vendor,Id,Tags,Lineitem discount"
)
WOOCOMMERCE = (
    "Order Number,Order Status,Order Date,Customer Note,First Name (Billing),"
    "Last Name (Billing),Email (Billing),Phone (Billing),Payment Method Title,"
    "Cart Discount Amount,Order Subtotal Amount,Order Subtotal - Cart Discount,"
    "Shipping Method Title,Order Shipping Amount,Order Refund Amount,"
    "Order Total Amount,Order Total Tax Amount,SKU,Item #,Item Name,"
    "Quantity (- Refund),Item Cost,Coupon Code,Discount Amount"
)
MAGENTO = (
    "ID,Purchase Point,Purchase Date,Bill-to Name,Ship-to Name,Grand Total (Base),"
    "Grand Total (Purchased),Status,Billing Address,Shipping Address,"
    "Shipping Information,Customer Email,Customer Group,Subtotal,"
    "Shipping and Handling,Customer Name,Payment Method,Total Refunded"
)
EMAIL = "Jo.Doe@shop.test"


def table(head, *rows, delimiter=","):
    """Return a file whose rows have values by title."""
    titles = head.split(",")
    file = io.StringIO()
    writer = csv.DictWriter(file, titles, delimiter=delimiter, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def documented(shop):
    """Return the arguments of the command that the documentation has for a shop."""
    _, _, text = DOCS.read_text().partition(f"\n{shop}\n----")
    _, _, text = text.partition("button_orders_backfill")
    command = text.partition("\n\n")[0].replace("\\\n", " ")
    return shlex.split(command)[2:]


def shopify(name, lines, **values):
    """Return the rows of an order. Only the first has what belongs to the order."""
    first = {
        "Financial Status": "paid",
        "Currency": "USD",
        "Subtotal": "90.00",
        "Shipping": "5.00",
        "Taxes": "7.20",
        "Total": "102.20",
        "Billing Name": "Jo Doe",
        "Id": "6798481490219",
        **values,
    }
    return [
        {
            "Name": name,
            "Email": EMAIL,
            "Created at": "2026-11-01 10:37:30 -0500",
            "Lineitem quantity": quantity,
            "Lineitem name": item,
            "Lineitem price": price,
            "Lineitem sku": sku,
            **(first if at == 0 else {}),
        }
        for at, (quantity, item, price, sku) in enumerate(lines)
    ]


@override_settings(BUTTON_ORDERS=button_settings())
class ExportTests(TestCase):
    def setUp(self):
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "orders.csv"
        self.rejects = Path(folder.name) / "rejects.csv"

    def backfill(self, content, *arguments):
        content = content if isinstance(content, bytes) else content.encode()
        self.path.write_bytes(content)
        out, err, error = call(
            "button_orders_backfill",
            *arguments,
            *("--from-file", str(self.path), "--rejects", str(self.rejects)),
        )
        assert "shop.test" not in (out + err + error).lower()
        return out, err, error

    def payload(self, order_id):
        return ButtonOrder.objects.get(order_id=order_id).as_report().as_payload()

    def test_shopify(self):
        lines = [(1, "Mug - Red", "30.00", "MUG"), (1, "Mug - Red", "30.00", "MUG")]
        content = table(
            SHOPIFY,
            *shopify("#1001", [*lines, (3, "Tea", "10.00", "")]),
            *shopify("#1002", [(2, "Tea", "100.00", "")], Currency="JPY"),
        )

        out, err, error = self.backfill(content, *documented("Shopify"))

        assert (out, err, error) == ("2 created.\n", "", "")
        mug = {"amount": 3000, "total": 3000, "quantity": 1, "sku": "MUG"}
        assert self.payload("#1001") == {
            "order_id": "#1001",
            "total": 9000,
            "currency": "USD",
            "purchase_date": "2026-11-01T15:37:30Z",
            "customer": {"email_sha256": hash_email(EMAIL)},
            "line_items": [
                {"identifier": "Mug - Red", "description": "Mug - Red", **mug},
                {"identifier": "Mug - Red-2", "description": "Mug - Red", **mug},
                {
                    "identifier": "Tea",
                    "description": "Tea",
                    "amount": 1000,
                    "total": 3000,
                    "quantity": 3,
                },
            ],
        }
        assert self.payload("#1002")["total"] == 90

    def test_woocommerce(self):
        order = {
            "Order Number": "1001",
            "Order Status": "Completed",
            "Order Date": "2026-11-01 08:00",
            "First Name (Billing)": "Jo",
            "Email (Billing)": EMAIL,
            "Order Subtotal Amount": "1.250,00",
            "Order Subtotal - Cart Discount": "1.234,50",
            "Order Total Amount": "1.480,00",
        }
        item = {"SKU": "MUG", "Item Name": "Mug", "Quantity (- Refund)": "1"}
        content = table(
            WOOCOMMERCE,
            {**order, **item, "Item #": "1", "Item Cost": "1.000"},
            # The plug-in may fill the columns of an order in its first row only.
            {**item, "Item #": "2", "Item Cost": "250,00"},
            delimiter=";",
        )
        arguments = documented("WooCommerce")

        out, _, error = self.backfill(content, *arguments)

        assert (out, error) == ("1 created.\n", "")
        assert self.payload("1001") == {
            "order_id": "1001",
            "total": 123450,
            "currency": "EUR",
            "purchase_date": "2026-11-01T07:00:00Z",
            "customer": {"email_sha256": hash_email(EMAIL)},
            "line_items": [
                {
                    "identifier": number,
                    "amount": amount,
                    "total": amount,
                    "quantity": 1,
                    "description": "Mug",
                    "sku": "MUG",
                }
                for number, amount in (("1", 100000), ("2", 25000))
            ],
        }

    def test_magento(self):
        order = {
            "Purchase Point": "Main Website\n   Main Website Store",
            "Purchase Date": "Nov 1, 2026 8:00:00 AM",
            "Bill-to Name": "Jo Doe",
            "Customer Email": EMAIL,
            "Grand Total (Purchased)": "$1,250.00",
        }
        content = table(
            MAGENTO,
            {**order, "ID": "000000012", "Subtotal": "$1,234.50"},
            {**order, "ID": "000000013", "Subtotal": "1234.5000"},
        )

        out, _, error = self.backfill(content, *documented("Magento"))

        assert (out, error) == ("2 created.\n", "")
        for order_id in ("000000012", "000000013"):
            assert self.payload(order_id) == {
                "order_id": order_id,
                "total": 123450,
                "currency": "USD",
                "purchase_date": "2026-11-01T14:00:00Z",
                "customer": {"email_sha256": hash_email(EMAIL)},
            }

    def test_rejects_have_the_form_of_the_file(self):
        good = shopify("#1001", [(1, "Käsebrett", "30.00", "A")])
        bad = shopify("#1002", [(1, "Käse", "1.000", "B"), (1, "Tee", "5.00", "C")])
        head = table(SHOPIFY)
        content = f"sep=,\r\n{table(SHOPIFY, *good, *bad)}"
        expected = f"sep=,\r\n{head}{table(SHOPIFY, *bad).removeprefix(head)}"
        arguments = documented("Shopify")
        for encode, options in (
            (lambda text: text.encode(), []),
            (lambda text: text.encode("cp1252"), ["--encoding", "cp1252"]),
            (lambda text: text.encode("utf-16"), []),
            (lambda text: text.replace("\r\n", "\r").encode(), []),
        ):
            with self.subTest(form=encode("ä\r\n")):
                ButtonOrder.objects.all().delete()
                out, err, _ = self.backfill(encode(content), *arguments, *options)

                assert out == "1 created, 1 invalid.\n"
                assert err.startswith(
                    "line 4: line_item_amount: The decimal separator is not clear"
                )
                assert self.rejects.read_bytes() == encode(expected)

                mended = self.rejects.read_bytes()
                out, _, error = self.backfill(
                    mended, *arguments, *options, "--decimal-separator", "."
                )

                assert (out, error) == ("1 created.\n", "")
                assert len(self.payload("#1002")["line_items"]) == 2

    def test_compressed(self):
        content = table(SHOPIFY, *shopify("#1001", [(1, "Mug", "1.000", "A")]))
        arguments = documented("Shopify")

        out, _, _ = self.backfill(gzip.compress(content.encode()), *arguments)

        assert out == "1 invalid.\n"
        assert self.rejects.read_bytes() == content.encode()

    def test_map_to_what_the_file_does_not_have(self):
        content = table(SHOPIFY, *shopify("#1001", [(1, "Mug", "1.00", "A")]))
        arguments = [*documented("Shopify"), "--map", "btn_ref=Token"]

        _, _, error = self.backfill(content, *arguments)

        assert error.startswith(
            "The file has no column 'Token'. Its columns are 'Name'"
        )
        assert not ButtonOrder.objects.exists()

    def test_one_of_ours_mapped_twice(self):
        _, _, error = self.backfill("", "--map", "total=A", "--map", "total=B")

        assert error == "--map has more than one column for total."

    def test_bad_conventions(self):
        for option, value, reason in (
            ("--encoding", "klingon", "'klingon' is not an encoding"),
            ("--encoding", "hex", "'hex' is not an encoding"),
            ("--currency", "eur", "Enter the ISO 4217 code"),
            ("--time-zone", "Europe/Atlantis", "'Europe/Atlantis' is not a time zone"),
            ("--time-zone", "../etc", "'../etc' is not a time zone"),
            ("--decimal-separator", ";", "invalid choice"),
            ("--date-format", "%Q", "'%Q' is not a format of strptime"),
            ("--date-format", "%d.%m.%Y %", "is not a format of strptime"),
            ("--date-format", "%Y-%Y", "is not a format of strptime"),
            ("--date-format", "%-d.%m.%Y", "is not a format of strptime"),
            ("--date-format", "%d.%m.%Y\0", "is not a format of strptime"),
        ):
            with self.subTest(value=value):
                _, _, error = self.backfill("", option, value)

                assert reason in error

    def test_file_says_more_than_the_options(self):
        head = "order_id,total,currency,purchase_date,total_as_decimal"
        content = f"{head}\n1,700,JPY,2026-11-01T08:00:00Z,false\n"

        self.backfill(content, "--decimals", "--currency", "USD", "--time-zone", "UTC")

        assert self.payload("1")["total"] == 700
        assert self.payload("1")["currency"] == "JPY"

    def test_currency_of_amounts_and_option(self):
        head = "order_id,total,purchase_date"
        content = f'{head}\n1,"12,50 €",2026-11-01T08:00:00Z\n'
        content += "2,12.50 USD,2026-11-01T08:00:00Z\n"

        _, err, _ = self.backfill(content, "--decimals", "--currency", "EUR")

        assert self.payload("1")["total"] == 1250
        assert err.startswith("line 3: total: Enter an amount")

    def test_conventions_of_json(self):
        content = '{"order_id": 7, "total": 12.5, "purchase_date": "2026-11-01 08:00"}'

        out, _, error = self.backfill(
            content, "--decimals", "--currency", "USD", "--time-zone", "Asia/Tokyo"
        )

        assert (out, error) == ("1 created.\n", "")
        assert self.payload("7") == {
            "order_id": "7",
            "total": 1250,
            "currency": "USD",
            "purchase_date": "2026-10-31T23:00:00Z",
        }
