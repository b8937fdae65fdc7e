"""``docs/howto/wagtail.rst``: the list in the menu, the box on a snippet."""

from __future__ import annotations

import json
import re
from html import unescape

from django.contrib.auth.models import Permission
from django.test import TestCase
from django.urls import reverse
from shop.models import Order

from django_button_orders.models import ButtonOrder
from tests.recipes.utils import BOX, button_forms, log_in, text_of

LIST = "/admin/django_button_orders/buttonorder/"


class WagtailTestCase(TestCase):
    def setUp(self):
        self.order = Order.objects.create(number="1994")
        self.page = reverse("wagtailsnippets_shop_order:edit", args=[self.order.pk])

    def fail(self):
        ButtonOrder.objects.update(status="failed", reason="refused")

    def log_in(self, *codenames, **values):
        user = log_in(self.client, is_superuser=False, **values)
        for codename in ("access_admin", "change_order", *codenames):
            user.user_permissions.add(Permission.objects.get(codename=codename))


class MenuTests(WagtailTestCase):
    def label(self):
        """Return the label of the link to our list in the menu, or None."""
        response = self.client.get(self.page)
        assert response.status_code == 200
        script = re.search(
            r'<script id="wagtail-sidebar-props"[^>]*>(.*?)</script>',
            response.content.decode(),
            re.S,
        )
        return find_label(json.loads(unescape(script[1])))

    def test_permitted_user(self):
        self.log_in("view_buttonorder")

        assert self.label() == "Button orders"
        self.assertContains(self.client.get(LIST), "1994")

    def test_number_of_failed_orders(self):
        self.fail()
        self.log_in("view_buttonorder")

        assert self.label() == "Button orders (1)"

    def test_without_the_permission(self):
        self.log_in()

        assert self.label() is None

    def test_not_on_the_staff(self):
        """Django's admin would ask this user to log in again."""
        self.log_in("view_buttonorder", is_staff=False)

        assert self.label() is None


def find_label(value):
    """Return the label of a link to our list in what Wagtail gives its sidebar."""
    if isinstance(value, dict):
        if value.get("url") == LIST:
            return value["label"]
        value = list(value.values())
    if not isinstance(value, list):
        return None
    # Wagtail packs an object as a list: its class, and the arguments of the class.
    return next((found for found in map(find_label, value) if found), None)


class SnippetTests(WagtailTestCase):
    def setUp(self):
        super().setUp()
        self.fail()

    def test_box(self):
        log_in(self.client)
        response = self.client.get(self.page)
        (url,) = button_forms(response, "retry")
        html = response.content.decode()

        assert f"{BOX} Failed" in text_of(response)
        assert html.index(BOX) < html.index('id="w-editor-form"')
        response = self.client.post(url, {"next": self.page})
        assert response["Location"] == self.page
        assert ButtonOrder.objects.get().status == "pending"

    def test_without_the_permission(self):
        self.log_in()

        assert BOX not in text_of(self.client.get(self.page))

    def test_save_is_reported(self):
        log_in(self.client)
        before = ButtonOrder.objects.get().revision

        self.client.post(
            self.page,
            {"number": "1994", "placed_at": "2026-11-01 12:00", "net_total": "6000"},
        )

        assert Order.objects.get().net_total == 6000
        assert ButtonOrder.objects.get().revision == before + 1
