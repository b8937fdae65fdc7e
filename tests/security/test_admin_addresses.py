"""Addresses of the admin with what nobody typed: a page says no, and never breaks."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from django.db import transaction
from django.test import override_settings
from django.urls import reverse

from django_button_orders.models import ButtonOrder, Difference, PausedAccount
from tests.admin.utils import AdminTestCase
from tests.utils import PURCHASED, button_settings

EXPORT = "admin:django_button_orders_buttonorder_export"
MODELS = (ButtonOrder, Difference, PausedAccount)
VALUES = (
    "\0",
    "\U0001f381",
    "\u202e\x1b[2J\r\n",
    "9" * 30,
    "9" * 5000,
    "\u0663",
    "(",
    "2026-13-45 25:61",
    "",
)
LOOKUPS = ("__in", "__isnull", "__gt", "__contains", "__regex", "__x")
# Those of our filters and of Django's list.
OTHERS = (
    "q",
    "o",
    "p",
    "e",
    "all",
    "state",
    "answer",
    "token",
    "source",
    "bought_from",
    "bought_to",
    "fixed_at__isempty",
    "late_token",
    "_facets",
    "_popup",
    "_to_field",
    "_changelist_filters",
    "submissions",
    "source_type__model",
    "submissions__error",
    "pk",
    "\0",
)


@override_settings(BUTTON_ORDERS=button_settings(BASE_URL="http://127.0.0.1:9"))
class AddressTests(AdminTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        PausedAccount.objects.create(account="eu", probe_at=PURCHASED)
        Difference.objects.create(side="button", kind="different", order_id="1994")

    def url(self, model, view, *args):
        name = f"admin:django_button_orders_{model._meta.model_name}_{view}"
        return reverse(name, args=args)

    def check(self, url, *, method="get"):
        with self.subTest(url=url[:120], method=method):
            with transaction.atomic():
                response = getattr(self.client, method)(url)

            assert response.status_code in (200, 302, 400, 403, 404, 405)

    def test_filters(self):
        for model in MODELS:
            url = self.url(model, "changelist")
            fields = [field.name for field in model._meta.concrete_fields]
            for name in fields:
                for value in ("\0", "\U0001f381", "9" * 30):
                    self.check(f"{url}?{urlencode({name: value})}")
            for lookup in LOOKUPS:
                for value in ("\0", "("):
                    self.check(f"{url}?{urlencode({f'account{lookup}': value})}")
            for name in OTHERS:
                for value in VALUES:
                    self.check(f"{url}?{urlencode({name: value})}")

    def test_filters_of_the_export(self):
        for name in ("q", "account", "currency", "state", "status__exact", "source"):
            for value in VALUES:
                query = urlencode({name: value})
                self.check(f"{reverse(EXPORT)}?{query}")

    def test_keys(self):
        for model in MODELS:
            for view in ("change", "history", "delete"):
                for value in VALUES:
                    url = self.url(model, view, "KEY")
                    self.check(url.replace("KEY", quote(value, safe="")))

    def test_keys_of_buttons(self):
        views = [
            (ButtonOrder, "retry"),
            (ButtonOrder, "ask"),
            (PausedAccount, "resume"),
        ]
        for model, view in views:
            for value in VALUES:
                url = self.url(model, view, "KEY").replace("KEY", quote(value, safe=""))
                self.check(url, method="post")

    def test_filters_to_come_back_to(self):
        for model in MODELS:
            url = self.url(model, "change", model.objects.get().pk)
            for value in VALUES:
                query = urlencode({"_changelist_filters": f"account={value}"})
                self.check(f"{url}?{query}")
