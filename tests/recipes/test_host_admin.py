"""``docs/howto/host-admin.rst``: classes of other packages, and other admin sites."""

from __future__ import annotations

from django.contrib import admin
from django.test import TestCase, override_settings
from django.urls import path, reverse
from djstripe.models import Charge
from shop.admin import site
from shop.models import Order

from django_button_orders.models import ButtonOrder, PausedAccount
from tests.recipes.pages import run_block
from tests.recipes.utils import BOX, button_forms, log_in, text_of

ROWS = "django_button_orders_buttonorder"


class HostTestCase(TestCase):
    def setUp(self):
        log_in(self.client)
        self.order = Order.objects.create(number="1994")
        self.row = ButtonOrder.objects.get()
        ButtonOrder.objects.update(status="failed", reason="refused")

    def open(self, name, *args):
        response = self.client.get(reverse(name, args=args))
        assert response.status_code == 200
        return response


class OtherPackageTests(HostTestCase):
    def test_class_that_replaces_that_of_the_package(self):
        charge = Charge.objects.create(
            id="ch_1", amount=70, currency="usd", status="failed", stripe_data={}
        )

        text = text_of(self.open("admin:djstripe_charge_change", charge.pk))

        assert "View on Stripe Dashboard" in text
        assert f"{BOX} This order is not reported: is_reportable()" in text

    def test_template_alone(self):
        response = self.open("admin:shop_order_change", self.order.pk)

        assert f"{BOX} Failed" in text_of(response)
        assert button_forms(response, "retry")

    def test_template_where_an_order_is_added(self):
        assert BOX not in text_of(self.open("admin:shop_order_add"))


class OwnSiteTests(HostTestCase):
    def test_list_and_page(self):
        assert "1994" in text_of(self.open(f"backoffice:{ROWS}_changelist"))
        response = self.open(f"backoffice:{ROWS}_change", self.row.pk)

        self.assertContains(response, f'href="/backoffice/shop/order/{self.order.pk}/')
        (url,) = button_forms(response, "retry")
        assert url.startswith("/backoffice/")

    def test_other_lists(self):
        for name in ("difference", "pausedaccount"):
            self.open(f"backoffice:django_button_orders_{name}_changelist")

    def test_button_of_the_box(self):
        page = reverse("backoffice:shop_order_change", args=[self.order.pk])
        # The template of the default site's test adds the box a second time.
        url = button_forms(self.client.get(page), "retry")[0]

        response = self.client.post(url, {"next": page})

        assert url.startswith("/backoffice/")
        assert response["Location"] == page
        assert ButtonOrder.objects.get().status == "pending"

    def test_resume(self):
        PausedAccount.objects.create(account="default", probe_at="2026-11-01T12:00Z")
        ButtonOrder.objects.update(status="pending")
        page = self.open("backoffice:shop_order_change", self.order.pk)

        self.client.post(button_forms(page, "resume")[0])

        assert not PausedAccount.objects.exists()


class WithoutOursTests(HostTestCase):
    """The default site loses the models: only the other site shows them."""

    def setUp(self):
        super().setUp()
        before = dict(admin.site._registry)
        self.addCleanup(admin.site._registry.update, before)
        namespace = {}
        run_block("host-admin", "class BackOfficeOrderAdmin", namespace)
        run_block("host-admin", "admin.site.unregister([ButtonOrder", namespace)
        urls = (path("admin/", admin.site.urls), path("backoffice/", site.urls))
        self.enterContext(override_settings(ROOT_URLCONF=urls))

    def test_default_site(self):
        text = text_of(self.open("admin:index"))

        assert "Button order" not in text

    def test_box_there(self):
        text = text_of(self.open("admin:shop_order_change", self.order.pk))

        assert "Failed This admin site has no page for Button orders" in text

    def test_other_site(self):
        self.open(f"backoffice:{ROWS}_change", self.row.pk)
        response = self.open("backoffice:shop_order_change", self.order.pk)

        assert button_forms(response, "retry")
