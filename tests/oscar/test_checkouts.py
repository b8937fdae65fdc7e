"""Orders that customers place in the shop, as they arrive at Button."""

from __future__ import annotations

import hashlib
from decimal import Decimal

from django.contrib.auth import get_user_model
from django.test import TestCase, override_settings
from oscar.core.loading import get_model
from oscar.test import factories

from django_button_orders.models import ButtonOrder
from django_button_orders.testing import ButtonSandboxMixin
from tests.oscar.utils import (
    Shopper,
    create_customer,
    create_offer,
    create_product,
)


def hash_of(email):
    return hashlib.sha256(email.encode()).hexdigest()


class CheckoutTestCase(ButtonSandboxMixin, TestCase):
    databases = {"default", "archive"}

    def arrived(self, order):
        """Report the order, and return what Button holds of it."""
        assert self.button_sandbox.report() == {"reported": 1}
        held = self.button_sandbox.orders[str(order.number)]
        assert held["total"] == sum(line["total"] for line in held["line_items"])
        return held


class AmountTests(CheckoutTestCase):
    def test_without_tax_and_shipping(self):
        order = Shopper().buy(create_product("20.00"), quantity=2)

        held = self.arrived(order)

        assert (held["total"], held["currency"]) == (4000, "USD")
        (line,) = order.lines.all()
        assert held["line_items"] == [
            {
                "identifier": str(line.pk),
                "total": 4000,
                "amount": 2000,
                "quantity": 2,
                "sku": "MUG",
                "description": "Mug",
            }
        ]
        order.refresh_from_db()
        assert order.total_incl_tax == Decimal("54.00")

    def test_several_products(self):
        products = [create_product(price, sku=price) for price in ("1.99", "10", "7.5")]

        held = self.arrived(Shopper().buy(*products))

        assert held["total"] == 199 + 1000 + 750
        assert [line["sku"] for line in held["line_items"]] == ["1.99", "10", "7.5"]

    def test_one_sku_on_two_lines(self):
        product = create_product("20.00")
        product.product_options.add(
            factories.OptionFactory(name="Engraving", code="engraving", required=False)
        )
        shopper = Shopper()
        shopper.add(product, 1, engraving="For Ada")
        shopper.add(product, 2, engraving="For Bob")

        order = shopper.check_out()

        held = self.arrived(order)
        assert [line["sku"] for line in held["line_items"]] == ["MUG", "MUG"]
        keys = {line["identifier"] for line in held["line_items"]}
        assert keys == {str(line.pk) for line in order.lines.all()}
        # What customers write stays in the shop.
        assert "Ada" not in str(held)

    def test_free(self):
        held = self.arrived(Shopper().buy(create_product("0.00")))

        assert held["total"] == 0
        assert [line["total"] for line in held["line_items"]] == [0]

    @override_settings(SHOP_SURCHARGE="3.00")
    def test_surcharge(self):
        order = Shopper().buy(create_product("20.00"))

        assert order.surcharges.get().excl_tax == 3
        assert self.arrived(order)["total"] == 2000

    def test_express(self):
        order = Shopper().buy(create_product("20.00"), shipping="express")

        assert order.shipping_excl_tax == 10
        assert self.arrived(order)["total"] == 2000

    def test_nothing_to_ship(self):
        product = create_product("20.00")
        product.product_class.requires_shipping = False
        product.product_class.save()

        assert self.arrived(Shopper().buy(product))["total"] == 2000

    @override_settings(SHOP_PRICES_INCLUDE_TAX=True)
    def test_tax_rounded_per_unit(self):
        # 9.99 with 20 % tax are 8.325 without it, so a unit is 8.33.
        order = Shopper().buy(create_product("9.99"), quantity=3)

        assert self.arrived(order)["total"] == 2499

    @override_settings(SHOP_TAX_RATE="0")
    def test_no_tax(self):
        assert self.arrived(Shopper().buy(create_product("9.99")))["total"] == 999


class OfferTests(CheckoutTestCase):
    def buy(self, *prices, quantity=1, voucher="", currency="USD"):
        products = [
            create_product(price, sku=f"{at}", currency=currency)
            for at, price in enumerate(prices)
        ]
        return Shopper().buy(*products, quantity=quantity, voucher=voucher)

    def test_percentage_voucher(self):
        create_offer("Percentage", 15, code="FIFTEEN")

        order = self.buy("9.99", "20.00", voucher="FIFTEEN")

        assert order.discounts.get().voucher_code == "FIFTEEN"
        assert self.arrived(order)["total"] == 849 + 1700

    def test_absolute_voucher(self):
        create_offer("Absolute", 5, code="FIVE")

        assert self.arrived(self.buy("10.00", "20.00", voucher="FIVE"))["total"] == 2500

    def test_voucher_for_everything(self):
        create_offer("Absolute", 500, code="ALL")

        held = self.arrived(self.buy("10.00", quantity=2, voucher="ALL"))

        assert [line["total"] for line in held["line_items"]] == [0]

    def test_voucher_for_shipping(self):
        create_offer("Shipping percentage", 100, code="POST")

        order = self.buy("10.00", voucher="POST")

        assert order.shipping_excl_tax == 0
        assert self.arrived(order)["total"] == 1000

    def test_site_offer(self):
        create_offer("Percentage", 50)

        assert self.arrived(self.buy("10.01"))["total"] in (500, 501)

    def test_cheapest_is_free(self):
        create_offer("Multibuy", None, count=3)

        held = self.arrived(self.buy("10.00", quantity=3))

        (line,) = held["line_items"]
        assert (line["total"], line["quantity"]) == (2000, 3)
        # A unit would be 6.67.
        assert "amount" not in line

    @override_settings(SHOP_PRICES_INCLUDE_TAX=True, OSCAR_OFFERS_INCL_TAX=True)
    def test_voucher_of_prices_with_tax(self):
        create_offer("Absolute", 6, code="SIX")

        order = self.buy("12.00", "24.00", voucher="SIX")

        assert sum(line.line_price_incl_tax for line in order.lines.all()) == 30
        assert self.arrived(order)["total"] == 2500


class CurrencyTests(CheckoutTestCase):
    def test_yen(self):
        order = Shopper().buy(create_product("1980", currency="JPY"), quantity=2)

        held = self.arrived(order)

        assert (held["total"], held["currency"]) == (3960, "JPY")

    def test_yen_with_decimals(self):
        create_offer("Percentage", 15, code="FIFTEEN")
        products = [create_product("1999", sku=sku, currency="JPY") for sku in "ABC"]

        order = Shopper().buy(*products, voucher="FIFTEEN")

        # Each line is 1699.15 or so in Oscar, and the sum is rounded once.
        net = sum(line.line_price_excl_tax for line in order.lines.all())
        assert net % 1
        assert self.arrived(order)["total"] == round(net)

    def test_three_decimals(self):
        order = Shopper().buy(create_product("1.25", currency="KWD"))

        assert self.arrived(order)["total"] == 1250

    def test_unknown_currency(self):
        Shopper().buy(create_product("1.25", currency="XYZ"))

        assert self.button_sandbox.report() == {"failed": 1}

        row = ButtonOrder.objects.get()
        assert row.reason == "invalid"
        assert "ISO 4217" in row.last_error


class CustomerTests(CheckoutTestCase):
    def test_guest(self):
        order = Shopper(email="Guest@Shop.test").buy(create_product())

        assert self.arrived(order)["customer"] == {
            "email_sha256": hash_of("guest@shop.test")
        }

    def test_new_customer(self):
        user = create_customer()

        order = Shopper(user=user).buy(create_product())

        assert self.arrived(order)["customer"] == {
            "id": str(user.pk),
            "email_sha256": hash_of("ada@shop.test"),
            "is_new": True,
        }

    def test_returning_customer(self):
        user, product = create_customer(), create_product()
        first = Shopper(user=user).buy(product)
        self.arrived(first)

        second = Shopper(user=user).buy(product)

        assert self.arrived(second)["customer"]["is_new"] is False
        assert self.button_sandbox.orders[first.number]["customer"]["is_new"] is True

    def test_deleted_customer(self):
        user = create_customer()
        order = Shopper(user=user).buy(create_product())
        get_user_model().objects.all().delete()

        assert "customer" not in self.arrived(order)

    def test_customer_without_address(self):
        user = get_user_model().objects.create_user("phone", " ", "secret-1234")

        order = Shopper(user=user).buy(create_product())

        assert self.arrived(order)["customer"] == {"id": str(user.pk), "is_new": True}


class ProductTests(CheckoutTestCase):
    def setUp(self):
        super().setUp()
        category = get_model("catalogue", "Category")
        self.home = category.add_root(name="Home")
        self.kitchen = self.home.add_child(name="Kitchen")

    def category_of(self, order):
        (line,) = self.arrived(order)["line_items"]
        return line.get("category")

    def test_category(self):
        product = create_product()
        product.categories.add(self.kitchen)

        assert self.category_of(Shopper().buy(product)) == ["Home", "Kitchen"]

    def test_category_of_variant(self):
        parent = factories.create_product(
            product_class="Mugs", title="Mug", structure="parent"
        )
        parent.categories.add(self.kitchen)
        child = create_product(parent=parent, title="Blue mug")

        order = Shopper().buy(child)

        assert self.category_of(order) == ["Home", "Kitchen"]

    def test_hidden_category(self):
        product = create_product()
        self.home.is_public = False
        self.home.save()
        product.categories.add(get_model("catalogue", "Category").objects.get(depth=2))

        assert self.category_of(Shopper().buy(product)) is None

    def test_deleted_product(self):
        product = create_product(upc="4006381333931")
        order = Shopper().buy(product)
        product.delete()

        (line,) = self.arrived(order)["line_items"]

        assert (line["sku"], line["upc"]) == ("MUG", "4006381333931")
        assert line["description"] == "Mug"
