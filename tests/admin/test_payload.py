"""The total, the line items and the customer on the page of an order."""

from __future__ import annotations

from tests.admin.utils import AdminTestCase, page_url
from tests.shop.models import Order

HOSTILE = "<script>alert(1)</script>"
POT = {
    "identifier": "1",
    "description": "Teapot 🫖",
    "sku": "POT-12",
    "upc": "0123",
    "quantity": 2,
    "amount": 1250,
    "total": 2500,
    "category": ["Kitchen", "Pots"],
    "attributes": {"colour": "black"},
}
MUG = {"identifier": "MUG", "sku": "MUG", "total": 4500}


def lines(count):
    return [{"identifier": f"line-{n}.", "total": 1} for n in range(count)]


class ReadOnlyTestCase(AdminTestCase):
    """The page of an order of the shop's, which has no form."""

    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        cls.order = Order.objects.create(number="42")
        cls.put(cls, source_type=None)
        cls.row = type(cls.row).objects.get(order_id="42")

    def setUp(self):
        super().setUp()
        self.put(total=7000, currency="USD", line_items=[POT, MUG])

    def html(self):
        return self.client.get(page_url(self.row)).content.decode()


class LineItemsTests(ReadOnlyTestCase):
    def test_table(self):
        page = self.page()

        assert "Line item Quantity Each Total" in page
        assert (
            "Teapot 🫖 ID: 1 · SKU: POT-12 · UPC: 0123 · Category: Kitchen / Pots · "
            "colour: black 2 12.50 USD 25.00 USD"
        ) in page
        # A text that is the name of the line is not there twice.
        assert "MUG 45.00 USD" in page
        assert "Sum of the line items: 70.00 USD" in page

    def test_columns_without_values(self):
        self.put(line_items=[MUG])

        assert "Line item Total MUG 45.00 USD" in self.page()

    def test_amounts_of_zero(self):
        free = {"identifier": "GIFT", "quantity": 0, "amount": 0, "total": 0}
        self.put(line_items=[free])

        assert "GIFT 0 0.00 USD 0.00 USD" in self.page()

    def test_currencies(self):
        for currency, amount in (("JPY", "4,500 JPY"), ("KWD", "4.500 KWD")):
            with self.subTest(currency=currency):
                self.put(currency=currency)

                assert f"MUG {amount}" in self.page()

    def test_unknown_currency(self):
        self.put(currency="XXQ")

        assert "MUG 4500 XXQ" in self.page()

    def test_many_are_folded(self):
        self.put(line_items=lines(200), total=200)

        page = self.page()

        fold = page.index("190 more line items")
        assert page.index("line-9.") < fold < page.index("line-10.")
        assert fold < page.index("line-199.")

    def test_very_many_are_left_out(self):
        self.put(line_items=lines(1001))

        page = self.page()

        assert "line-999." in page
        assert "1 line item is not shown here." in page
        assert "Sum of the line items: 10.01 USD" in page

    def test_invalid_lines_are_shown_as_they_are(self):
        for invalid in ({"a": 1}, [{"total": "x"}], ["a"], [{"identifier": HOSTILE}]):
            with self.subTest(invalid=invalid):
                self.put(line_items=invalid)

                assert 'button-order-text">' in self.html()
                assert "<script>alert" not in self.html()

    def test_hostile_and_long_texts(self):
        names = {"description": HOSTILE, "sku": "x" * 5000, "category": ["a", HOSTILE]}
        attributes = {HOSTILE: f"{HOSTILE} too"}
        self.put(line_items=[{**POT, **names, "attributes": attributes}])

        html = self.html()

        shown = html[html.index("field-shown_line_items") : html.index("Reporting")]
        assert "<script>alert" not in html
        assert shown.count("&lt;script&gt;alert(1)") == 4
        assert "x" * 201 not in shown

    def test_long_name(self):
        self.put(line_items=[{**MUG, "description": "y" * 5000}])

        assert "y" * 201 not in self.page()


class SumTests(ReadOnlyTestCase):
    def total(self):
        page = self.page()
        start = page.index("Total: ")
        return page[start : page.index("Line items: ", start)]

    def test_same(self):
        assert "70.00 USD The line items sum to the same amount." in self.total()

    def test_more_and_less(self):
        for total, words in ((6500, "5.00 USD more"), (8000, "10.00 USD less")):
            with self.subTest(total=total):
                self.put(total=total)

                sentence = "The line items sum to 70.00 USD. That is"
                assert f"{sentence} {words} than the total." in self.total()

    def test_no_lines(self):
        self.put(line_items=[])

        page = self.page()

        assert "Total: 70.00 USD" in page
        assert "The line items sum" not in page
        assert "Line items:" not in page

    def test_no_total(self):
        self.put(total=None)

        page = self.page()

        assert "The line items sum" not in page
        assert "Sum of the line items: 70.00 USD" in page

    def test_form(self):
        """The page with a form shows the saved lines as a table, too."""
        self.put(source_type=None, source_id=None, total=6500)

        page = self.page()

        assert "Line items as saved: Line item Quantity Each Total" in page
        assert "Sum of the line items: 70.00 USD · Total of the order: 65.00" in page
        assert "That is 5.00 USD more than the total." in page

    def test_form_of_an_order_that_was_free(self):
        self.put(source_type=None, source_id=None, total=0)

        assert "70.00 USD · Total of the order: 0.00 USD" in self.page()


class CustomerTests(ReadOnlyTestCase):
    def test_list(self):
        customer = {"id": "7", "email_sha256": "ab" * 32, "device_id": "d-1"}
        self.put(customer={**customer, "is_new": False})

        assert (
            f"Customer: ID 7 Hash of the e-mail address {'ab' * 32} Device d-1 "
            "New customer no"
        ) in self.page()

    def test_what_is_known(self):
        self.put(customer={"is_new": True})

        assert "Customer: New customer yes" in self.page()

    def test_other_values_are_shown_as_they_are(self):
        for customer in ({"id": "7", "name": HOSTILE}, [HOSTILE], HOSTILE):
            with self.subTest(customer=customer):
                self.put(customer=customer)

                assert "&lt;script&gt;alert(1)" in self.html()
                assert "<script>alert" not in self.html()

    def test_hostile(self):
        self.put(customer={"id": HOSTILE, "device_id": "שלום"})

        html = self.html()
        assert "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;</bdi>" in html
        assert "<bdi>שלום</bdi>" in html

    def test_permission(self):
        self.put(customer={"id": "cust-7"})
        self.log_in("view_buttonorder")

        page = self.page()

        assert "You do not have permission to view the customer." in page
        assert "cust-7" not in page
        assert "MUG 45.00 USD" in page

    def test_no_customer(self):
        for customer in (None, {}):
            with self.subTest(customer=customer):
                self.put(customer=customer)

                assert "Customer:" not in self.page()
