"""How the attribution token of a visit comes to the order of a checkout."""

from __future__ import annotations

from types import SimpleNamespace

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, connection
from django.test import (
    Client,
    RequestFactory,
    TestCase,
    TransactionTestCase,
    modify_settings,
    override_settings,
)
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from oscar.apps.partner.strategy import Default
from oscar.core.loading import get_class, get_model
from oscar.test import factories

from django_button_orders.middleware import SESSION_KEY
from django_button_orders.models import AttributionToken, ButtonOrder
from django_button_orders.outbox.adapters import get_adapter, register, unregister
from tests.oscar.utils import Shopper, create_customer, create_product

Basket = get_model("basket", "Basket")
Order = get_model("order", "Order")
Selector = get_class("partner.strategy", "Selector")

TOKEN = "srctok-" + "t" * 20


def token_of(order):
    """Return the token that the report of an order has, read anew."""
    return get_adapter(Order).get_btn_ref(Order.objects.get(pk=order.pk))


def kept():
    return list(AttributionToken.objects.values_list("btn_ref", flat=True))


def selector_without_request(get_response):
    """Give each basket the strategy of a shop whose ``Selector`` passes no request."""

    def middleware(request):
        request.strategy = Default()
        return get_response(request)

    return middleware


class CheckoutTests(TestCase):
    databases = {"default", "archive"}

    def test_guest(self):
        order = Shopper(btn_ref=TOKEN).buy(create_product())

        assert token_of(order) == TOKEN
        assert order.user is None

    def test_customer(self):
        shopper = Shopper(user=create_customer(), btn_ref=TOKEN)

        assert token_of(shopper.buy(create_product())) == TOKEN

    def test_login_in_between(self):
        """The visit began before the customer logged in."""
        user = create_customer()
        shopper = Shopper(btn_ref=TOKEN)
        shopper.add(create_product())
        shopper.post(
            reverse("checkout:index"),
            {"username": user.email, "password": "secret-1234", "options": "existing"},
        )
        shopper.user = user

        order = shopper.check_out()

        assert order.user == user
        assert token_of(order) == TOKEN

    def test_each_order_of_a_visit(self):
        """Button decides to which of them the token applies."""
        product, shopper = create_product(), Shopper(btn_ref=TOKEN)

        orders = [shopper.buy(product), shopper.buy(product)]

        assert [token_of(order) for order in orders] == [TOKEN, TOKEN]

    def test_before_the_first_report(self):
        """The token is there as soon as a worker may see the order."""
        order = Shopper(btn_ref=TOKEN).buy(create_product())

        token = AttributionToken.objects.get()
        assert token.source_id == str(order.pk)
        assert ButtonOrder.objects.get().reported_revision is None

    @modify_settings(
        MIDDLEWARE={"append": "tests.oscar.test_tokens.selector_without_request"}
    )
    def test_strategy_without_request(self):
        assert token_of(Shopper(btn_ref=TOKEN).buy(create_product())) == TOKEN

    def test_no_token(self):
        shopper = Shopper(btn_ref="")
        shopper.add(create_product())
        shopper.enter_address()
        shopper.choose_shipping()

        with CaptureQueriesContext(connection) as queries:
            order = shopper.place_order()

        table = AttributionToken._meta.db_table
        assert [q["sql"] for q in queries if table in q["sql"]] == []
        assert token_of(order) == ""

    def test_undone_with_its_order(self):
        """Somebody else has used the voucher while this customer was checking out."""
        voucher = factories.create_voucher(code="ONCE", usage="Single use")
        shopper = Shopper(btn_ref=TOKEN)
        shopper.add(create_product())
        shopper.add_voucher("ONCE")
        shopper.enter_address()
        shopper.choose_shipping()
        get_model("voucher", "VoucherApplication").objects.create(
            voucher=voucher, order=factories.create_order()
        )

        response = shopper.client.post(
            reverse("checkout:preview"), {"action": "place_order"}
        )

        assert response.status_code == 200
        assert (Order.objects.count(), kept()) == (1, [])


@override_settings(ROOT_URLCONF="tests.oscar.payments")
class PaymentTests(TestCase):
    """Payments that leave the shop, or that fail."""

    databases = {"default", "archive"}

    def setUp(self):
        self.shopper = Shopper(user=create_customer(), btn_ref=TOKEN)
        self.shopper.add(create_product())
        self.shopper.enter_address()
        self.shopper.choose_shipping()

    def test_customer_comes_back(self):
        self.press("/checkout/preview/", expected=302)
        assert Basket.objects.get().status == Basket.FROZEN

        self.shopper.post("/pay/return/")

        assert token_of(Order.objects.get()) == TOKEN

    def test_only_the_provider_calls(self):
        """That request has no session. The shop has to bring the token along."""
        self.press("/checkout/preview/", expected=302)

        Client().post(f"/pay/notify/{Basket.objects.get().pk}/")

        assert token_of(Order.objects.get()) == ""

    def test_basket_is_thawed(self):
        self.press("/declining/preview/", expected=200)
        self.press("/declining/preview/", expected=302)

        assert token_of(Order.objects.get()) == TOKEN

    def press(self, path, *, expected):
        response = self.shopper.client.post(path, {"action": "place_order"})
        assert response.status_code == expected


class OtherOrdersTests(TestCase):
    """Orders that no visitor of the shop places."""

    databases = {"default", "archive"}

    def place(self, *, user=None, visitor=None, session=None):
        """Place an order in a request of ``visitor``, as a shop's own view does."""
        request = RequestFactory().get("/")
        request.user = visitor or AnonymousUser()
        request.session = {SESSION_KEY: TOKEN} if session is None else session
        basket = factories.create_basket(empty=True)
        basket.strategy = Selector().strategy(request=request, user=request.user)
        basket.add_product(create_product())
        return factories.create_order(basket=basket, user=user, request=request)

    def test_by_the_visitor(self):
        assert token_of(self.place()) == TOKEN

    def test_by_staff_for_a_customer(self):
        staff = create_staff()

        assert token_of(self.place(user=create_customer(), visitor=staff)) == ""

    def test_by_staff_for_a_guest(self):
        assert token_of(self.place(visitor=create_staff())) == ""

    def test_by_staff_for_themselves(self):
        """They buy like everybody else, as when they try the integration."""
        staff = create_staff()

        assert token_of(self.place(user=staff, visitor=staff)) == TOKEN

    def test_account_that_comes_with_the_order(self):
        """Some shops create an account for a guest while they place the order."""
        assert token_of(self.place(user=create_customer())) == TOKEN

    def test_by_a_script(self):
        with self.assertNoLogs("django_button_orders", "WARNING"):
            assert token_of(factories.create_order()) == ""

    def test_basket_is_not_loaded(self):
        basket = factories.create_basket()
        order = Order(number="7", basket_id=basket.pk, currency="USD")
        order.total_incl_tax = order.total_excl_tax = 20

        with CaptureQueriesContext(connection) as queries:
            order.save()

        assert not any(Basket._meta.db_table in q["sql"] for q in queries)

    def test_basket_without_strategy(self):
        order = Order(number="7", basket=Basket.objects.create(), currency="USD")
        order.total_incl_tax = order.total_excl_tax = 20
        order.save()

        assert token_of(order) == ""

    def test_order_is_saved_again(self):
        order = self.place(session={})
        order.basket.strategy.request.session[SESSION_KEY] = TOKEN

        order.save()

        assert kept() == []

    def test_no_adapter(self):
        adapter = get_adapter(Order)
        unregister(Order)
        try:
            self.place()
        finally:
            register(Order)(type(adapter))

        assert kept() == []

    def test_session_cannot_be_read(self):
        def fail(*args):
            raise DatabaseError(TOKEN)

        with self.assertLogs("django_button_orders", "ERROR") as logs:
            order = self.place(session=SimpleNamespace(get=fail))

        assert token_of(order) == ""
        assert TOKEN not in str(logs.output)
        assert "The token of a new order was not read: DatabaseError" in logs.output[0]


class WithoutTableTests(TransactionTestCase):
    def test_checkout_goes_on(self):
        with connection.schema_editor() as editor:
            editor.delete_model(AttributionToken)
        try:
            with self.assertLogs("django_button_orders", "ERROR"):
                order = Shopper(btn_ref=TOKEN).buy(create_product())
        finally:
            with connection.schema_editor() as editor:
                editor.create_model(AttributionToken)

        assert Order.objects.get() == order


def create_staff():
    return get_user_model().objects.create_user(
        "staff", "staff@shop.test", "secret-1234", is_staff=True
    )
