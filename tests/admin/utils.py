from __future__ import annotations

import re
from html import unescape

from django.contrib.auth.models import Permission, User
from django.test import TestCase, override_settings
from django.urls import reverse
from django.utils.html import strip_tags

from django_button_orders.models import ButtonOrder, Submission
from tests.utils import PURCHASED, button_settings, create_row

LIST_URL = reverse("admin:django_button_orders_buttonorder_changelist")
ADD_URL = reverse("admin:django_button_orders_buttonorder_add")


def page_url(row, view="change"):
    return reverse(f"admin:django_button_orders_buttonorder_{view}", args=[row.pk])


def create_user(*codenames, name="ada", **values):
    user = User.objects.create(username=name, is_staff=True, **values)
    for codename in codenames:
        user.user_permissions.add(Permission.objects.get(codename=codename))
    return user


def text_of(response):
    """Return the text of a page, without its HTML."""
    html = response.content.decode()
    body = html[html.index("<body") :]
    return re.sub(r"\s+", " ", unescape(strip_tags(body.replace("<", " <"))))


def create_submission(row, **values):
    return Submission.objects.create(
        **{
            "button_order": row,
            "operation": "create",
            "trigger": "save",
            "revision": 1,
            "started_at": PURCHASED,
            "duration_ms": 120,
            "method": "POST",
            "url": "https://button.test/v1/order",
            "outcome": "succeeded",
            **values,
        }
    )


@override_settings(BUTTON_ORDERS=button_settings())
class AdminTestCase(TestCase):
    """Create one row, and log a superuser in."""

    @classmethod
    def setUpTestData(cls):
        cls.row = create_row()
        cls.user = create_user(name="root", is_superuser=True)

    def setUp(self):
        self.client.force_login(self.user)

    def log_in(self, *codenames, **values):
        user = create_user(*codenames, **values)
        self.client.force_login(user)
        return user

    def put(self, **values):
        """Set columns of the row, without signals or validation."""
        ButtonOrder.objects.filter(pk=self.row.pk).update(**values)

    def page(self):
        """Return the text of the row's page."""
        response = self.client.get(page_url(self.row))
        assert response.status_code == 200
        return text_of(response)

    def list(self, query=""):
        """Return the order IDs on the list."""
        response = self.client.get(f"{LIST_URL}{query}")
        assert response.status_code == 200
        return [row.order_id for row in response.context["cl"].result_list]
