"""A stocked shop, customers who buy in it over HTTP, and people at its dashboard."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from oscar.core.loading import get_model
from oscar.test import factories

Benefit = get_model("offer", "Benefit")
Condition = get_model("offer", "Condition")
Country = get_model("address", "Country")
Order = get_model("order", "Order")
Range = get_model("offer", "Range")
Voucher = get_model("voucher", "Voucher")


def create_country():
    return Country.objects.get_or_create(
        iso_3166_1_a2="US",
        defaults={
            "iso_3166_1_a3": "USA",
            "iso_3166_1_numeric": "840",
            "name": "UNITED STATES",
            "printable_name": "United States",
            "is_shipping_country": True,
        },
    )[0]


def create_product(price="20.00", *, sku="MUG", currency="USD", **kwargs):
    """Return a product in stock."""
    product = factories.create_product(
        product_class="Mugs", title=kwargs.pop("title", "Mug"), **kwargs
    )
    factories.create_stockrecord(
        product,
        price=Decimal(price),
        partner_sku=sku,
        partner_name="Pottery",
        num_in_stock=1000,
        currency=currency,
    )
    return product


def create_offer(benefit, value, *, code="", count=1):
    """Return an offer for all products, or a voucher with this code."""
    everything = Range.objects.create(
        name=f"All for {code}", includes_all_products=True
    )
    offer = factories.create_offer(
        name=f"{benefit} {value}",
        offer_type="Voucher" if code else "Site",
        condition=Condition.objects.create(range=everything, type="Count", value=count),
        benefit=Benefit.objects.create(
            range=None if benefit.startswith("Shipping") else everything,
            type=benefit,
            value=value,
        ),
        max_basket_applications=1,
    )
    if not code:
        return offer
    now = timezone.now()
    voucher = Voucher.objects.create(
        name=code,
        code=code,
        usage="Multi-use",
        start_datetime=now - timedelta(days=1),
        end_datetime=now + timedelta(days=1),
    )
    voucher.offers.add(offer)
    return voucher


class Shopper:
    """A visitor with a browser: a guest, or a customer who is logged in."""

    def __init__(self, *, email="guest@shop.test", user=None, btn_ref="srctok-1"):
        create_country()
        self.client = Client()
        self.email = email
        self.user = user
        if user is not None:
            self.client.force_login(
                user, backend="oscar.apps.customer.auth_backends.EmailBackend"
            )
        if btn_ref:
            self.get("/", {"btn_ref": btn_ref}, follow=True)

    def get(self, path, data=None, **kwargs):
        response = self.client.get(path, data, **kwargs)
        assert response.status_code < 400, (path, response.status_code)
        return response

    def post(self, path, data=None):
        """Post a form, which must be accepted: then the shop redirects."""
        response = self.client.post(path, data or {})
        assert response.status_code == 302, (path, response.status_code)
        return response

    def add(self, product, quantity=1, **options):
        self.post(
            reverse("basket:add", kwargs={"pk": product.pk}),
            {"quantity": quantity, **options},
        )

    def add_voucher(self, code):
        self.post(reverse("basket:vouchers-add"), {"code": code})

    def enter_address(self):
        if self.user is None:
            self.post(
                reverse("checkout:index"),
                {"username": self.email, "options": "anonymous"},
            )
        self.post(
            reverse("checkout:shipping-address"),
            {
                "first_name": "Ada",
                "last_name": "Byron",
                "line1": "1 Main Street",
                "line4": "Chicago",
                "state": "IL",
                "postcode": "60601",
            },
        )

    def choose_shipping(self, code=""):
        path = reverse("checkout:shipping-method")
        # Without anything to ship, the shop goes on by itself.
        if self.get(path).status_code == 200:
            self.post(path, {"method_code": code or "parcel"})

    def place_order(self):
        """Press the button on the preview. Return the order."""
        self.get(reverse("checkout:preview"))
        known = set(Order.objects.values_list("pk", flat=True))
        self.post(reverse("checkout:preview"), {"action": "place_order"})
        self.get(reverse("checkout:thank-you"))
        return Order.objects.exclude(pk__in=known).get()

    def check_out(self, *, shipping=""):
        """Go from the basket to the placed order, and return it."""
        self.enter_address()
        self.choose_shipping(shipping)
        return self.place_order()

    def buy(self, *products, quantity=1, voucher="", shipping=""):
        """Put products into the basket, and check out. Return the order."""
        for product in products:
            self.add(product, quantity)
        if voucher:
            self.add_voucher(voucher)
        return self.check_out(shipping=shipping)


def create_customer(email="ada@shop.test"):
    return get_user_model().objects.create_user(email, email, "secret-1234")


class Clerk:
    """Somebody at the dashboard, who acts on one order."""

    def __init__(self, order):
        self.order = order
        self.client = Client()
        staff, _ = get_user_model().objects.get_or_create(
            username="clerk",
            email="clerk@shop.test",
            is_staff=True,
            is_superuser=True,
        )
        self.client.force_login(
            staff, backend="oscar.apps.customer.auth_backends.EmailBackend"
        )
        self.path = reverse("dashboard:order-detail", kwargs={"number": order.number})

    def post(self, data):
        """Post a form of the order's page. Return the messages that the clerk sees."""
        response = self.client.post(self.path, data, follow=True)
        assert response.status_code == 200, (
            response.status_code,
            response.redirect_chain,
            data,
        )
        return [str(message) for message in response.context["messages"]]

    def act(self, action, **data):
        return self.post({"order_action": action, **data})

    def act_on(self, quantities, action, **data):
        """Act on lines: ``quantities`` has the lines and how many of each."""
        return self.post(
            {
                "line_action": action,
                "selected_line": [line.pk for line in quantities],
                **{
                    f"selected_line_qty_{line.pk}": quantity
                    for line, quantity in quantities.items()
                },
                **data,
            }
        )
