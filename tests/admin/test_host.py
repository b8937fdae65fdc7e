"""The box on the page of the shop's own order."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape

import pytest
from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection
from django.template import Context, RequestContext, Template
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse

from django_button_orders import suppress_reporting
from django_button_orders.admin import (
    ButtonOrderAdmin,
    ButtonOrderAdminMixin,
    PausedAccountAdmin,
)
from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.operations.orders import log_change
from tests.admin.utils import AdminTestCase, create_user, page_url, text_of
from tests.shop.models import GiftOrder, Order, Page, WebOrder
from tests.shop.views import order
from tests.utils import create_row

BOX = "Reporting to Button"
HOSTILE = "<script>alert(1)</script>"


class OrderAdmin(ButtonOrderAdminMixin, admin.ModelAdmin):
    pass


# Two sites of the shop. Only one of them has Button orders.
desk, till = admin.AdminSite("desk"), admin.AdminSite("till")
desk.register(Order, OrderAdmin)
desk.register(ButtonOrder, ButtonOrderAdmin)
desk.register(PausedAccount, PausedAccountAdmin)
till.register(Order, OrderAdmin)
# A site with Django's ModelAdmin for our models, and one named as the default site.
plain, twin = admin.AdminSite("plain"), admin.AdminSite()
plain.register(Order, OrderAdmin)
plain.register([ButtonOrder, PausedAccount])
twin.register(Order, OrderAdmin)
# One for the orders in a second database.


class ArchivedOrderAdmin(OrderAdmin):
    def get_queryset(self, request):
        return super().get_queryset(request).using("archive")


class ArchivedButtonOrderAdmin(ButtonOrderAdmin):
    database = "archive"


class ArchivedPausedAccountAdmin(PausedAccountAdmin):
    database = "archive"


vault, half = admin.AdminSite("vault"), admin.AdminSite("half")
vault.register(Order, ArchivedOrderAdmin)
vault.register(ButtonOrder, ArchivedButtonOrderAdmin)
vault.register(PausedAccount, ArchivedPausedAccountAdmin)
# The pauses of the first database beside the orders of the second one.
half.register(Order, ArchivedOrderAdmin)
half.register(ButtonOrder, ArchivedButtonOrderAdmin)
half.register(PausedAccount, PausedAccountAdmin)
urlpatterns = [
    path("admin/", admin.site.urls),
    path("vault/", vault.urls),
    path("half/", half.urls),
    path("desk/", desk.urls),
    path("till/", till.urls),
    path("plain/", plain.urls),
]
twin_urlpatterns = (path("twin/", twin.urls),)


class ReplicaRouter:
    """Read orders and rows from "archive", which stands for a replica."""

    def db_for_read(self, model, **hints):
        return "archive" if is_ours(model) else None

    def db_for_write(self, model, **hints):
        return "default" if is_ours(model) else None

    def allow_relation(self, *objects, **hints):
        return True

    def allow_migrate(self, db, app_label, **hints):
        return db != "archive"


class ShopRouter:
    """Store the shop's orders, and therefore their rows, in a second database."""

    def db_for_read(self, model, **hints):
        return "archive" if model._meta.app_label == "shop" else None

    db_for_write = db_for_read


def is_ours(model):
    return model._meta.app_label in ("shop", "django_button_orders")


def host_url(order, site="admin"):
    name = f"{site}:{order._meta.app_label}_{order._meta.model_name}_change"
    return reverse(name, args=[order.pk])


class HostTestCase(AdminTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        cls.order = Order.objects.create(number="42")
        cls.row = ButtonOrder.objects.get(order_id="42")
        cls.url = host_url(cls.order)

    def fail(self):
        self.put(
            status="failed",
            reason="refused",
            next_attempt_at=None,
            last_error="Button answered 400 to create: No such shop.",
        )

    def open(self, url=""):
        response = self.client.get(url or self.url)
        assert response.status_code == 200
        return response

    def text(self, url=""):
        return text_of(self.open(url))

    def form(self, verb, url=""):
        """Return the URL and the fields of a button's form."""
        html = self.open(url).content.decode()
        for form in re.findall(r"<form.*?</form>", html, re.S):
            action = unescape("".join(re.findall(r'action="([^"]*)"', form)))
            if f"/{verb}/" in action:
                sent = re.search(r'name="next" value="([^"]*)"', form)
                return action, {"next": unescape(sent[1])}
        return None


class BoxTests(HostTestCase):
    def test_state_and_what_to_do(self):
        self.fail()

        text = self.text()

        assert BOX in text
        assert "Failed Button refused this order" in text
        assert "No such shop." in text

    def test_button_leads_back_to_where_it_was_pressed(self):
        self.fail()
        url = f"{self.url}?_changelist_filters=q%3D42"
        action, data = self.form("retry", url)

        response = self.client.post(action, data)

        self.row.refresh_from_db()
        assert self.row.status == "pending"
        assert response["Location"] == url
        assert "1 order will be sent again." in self.text(url)

    def test_resume(self):
        PausedAccount.objects.create(account="default", probe_at="2026-11-01T12:00Z")
        action, data = self.form("resume")

        response = self.client.post(action, data)

        assert response["Location"] == self.url
        assert not PausedAccount.objects.exists()

    def test_way_to_the_page_of_the_report(self):
        """The buttons' URLs omit the filters of the shop's list, which are not ours."""
        response = self.open(f"{self.url}?_changelist_filters=q%3D42")

        self.assertContains(response, f'href="{page_url(self.row)}"')

    def test_not_where_an_order_is_added(self):
        response = self.client.get(reverse("admin:shop_order_add"))

        assert BOX not in text_of(response)

    def test_form_with_an_error(self):
        response = self.client.post(self.url, {"number": ""})

        assert "This field is required." in text_of(response)
        assert BOX in text_of(response)

    def test_popup_stays_one(self):
        self.fail()
        url = f"{self.url}?_popup=1"

        assert self.form("retry", url)[1]["next"] == url
        self.assertNotContains(self.client.get(url), page_url(self.row))

    def test_text_from_outside_is_no_html(self):
        self.put(status="failed", reason="invalid", last_error=HOSTILE)

        self.assertNotContains(self.client.get(self.url), HOSTILE)

    def test_proxy(self):
        self.fail()

        assert "No such shop." in self.text(host_url(WebOrder(pk=self.order.pk)))


class OtherReportsTests(HostTestCase):
    def add(self, count):
        ButtonOrder.objects.bulk_create(
            ButtonOrder(
                account="eu",
                order_id=f"42-{number}",
                source_type=self.row.source_type,
                source_id=self.row.source_id,
            )
            for number in range(count)
        )

    def queries(self):
        with CaptureQueriesContext(
            connection,
        ) as captured:
            self.open()
        return len(captured)

    def test_latest_first_and_the_others_by_name(self):
        self.add(1)

        text = self.text()

        assert "Open the Button order 42-0" in text
        assert "Earlier Button orders: Pending 42 (default)" in text

    def test_no_query_for_each(self):
        self.add(1)
        self.open()
        two = self.queries()

        ButtonOrder.objects.filter(account="eu").delete()
        self.add(10)

        assert self.queries() == two


class NoReportTests(HostTestCase):
    def text_without_a_row(self, **values):
        ButtonOrder.objects.all().delete()
        Order.objects.filter(pk=self.order.pk).update(**values)
        return self.text()

    def test_not_reportable(self):
        text = self.text_without_a_row(is_paid=False)

        assert "is_reportable() of ShopOrderAdapter returns False." in text

    def test_saved_without_a_signal(self):
        text = self.text_without_a_row()

        assert "Save it, or run button_orders_backfill." in text

    def test_adapter_raises(self):
        text = self.text_without_a_row(trouble="get_order_id", email="a@example.com")

        assert "It cannot be reported: ShopOrderAdapter.get_order_id raised" in text
        assert "a@example.com" not in text.partition(BOX)[2].partition("Number:")[0]

    def test_model_without_an_adapter(self):
        page = Page.objects.create(title="About us")

        text = self.text(host_url(page))

        assert "no adapter is registered for shop.Page." in text

    def test_row_that_the_shop_made_before_it_had_an_adapter(self):
        ButtonOrder.objects.all().delete()
        create_row(order_id="42", status="failed", reason="refused")

        assert "Button refused this order" in self.text()


class RightsTests(HostTestCase):
    def setUp(self):
        self.fail()

    def log_in(self, *codenames, **values):
        return super().log_in("view_order", "change_order", *codenames, **values)

    def test_nothing_for_those_who_may_not_see_reports(self):
        self.log_in("retry_buttonorder")

        assert BOX not in self.text()
        self.assertNotContains(self.client.get(self.url), "button-order")

    def test_no_reason_either_why_there_is_no_report(self):
        ButtonOrder.objects.all().delete()
        self.log_in("retry_buttonorder")

        assert BOX not in self.text()

    def test_state_alone_for_those_who_may_look(self):
        self.log_in("view_buttonorder")

        assert "Button refused this order" in self.text()
        assert self.form("retry") is None

    def test_buttons_by_their_permissions(self):
        self.log_in("view_buttonorder", "dismiss_buttonorder")

        assert self.form("dismiss") is not None
        assert self.form("retry") is None
        assert self.form("cancel") is None


class AdminOfItsOwnTests(HostTestCase):
    """The mixin works with the templates, URLs and views of any ModelAdmin."""

    def setUp(self):
        super().setUp()
        gift = GiftOrder.objects.create(number="43")
        self.response = self.open(host_url(gift))

    def test_template_and_context(self):
        text = text_of(self.response)

        assert "Hello, wrap it well." in text
        assert "Reporting to Button Pending" in text
        assert "A gift" in text

    def test_media(self):
        self.assertContains(self.response, "gift.css")
        self.assertContains(self.response, "django_button_orders/admin.css")

    def test_urls(self):
        assert self.open("/admin/shop/giftorder/ribbon/").content == b"red"


@override_settings(ROOT_URLCONF=__name__)
class SiteTests(HostTestCase):
    def test_addresses_are_those_of_the_site(self):
        self.fail()

        action, data = self.form("retry", host_url(self.order, "desk"))

        assert action.startswith("/desk/django_button_orders/buttonorder/")
        assert data["next"].startswith("/desk/shop/order/")

    def test_site_without_button_orders(self):
        self.fail()
        url = host_url(self.order, "till")

        text = self.text(url)

        assert "Failed This admin site has no page for Button orders" in text
        assert self.form("retry", url) is None

    def test_admin_that_is_not_ours(self):
        self.fail()

        assert "This admin site has no page for Button orders" in self.text(
            host_url(self.order, "plain")
        )

    def test_pages_of_an_admin_that_is_not_ours(self):
        pause = PausedAccount.objects.create(
            account="default", probe_at="2026-11-01T12:00Z"
        )
        for obj in (self.row, pause):
            name = f"plain:django_button_orders_{obj._meta.model_name}"
            with self.subTest(name=name):
                self.open(reverse(f"{name}_changelist"))
                self.open(reverse(f"{name}_change", args=[obj.pk]))

    @override_settings(ROOT_URLCONF=twin_urlpatterns)
    def test_two_sites_of_the_same_name(self):
        self.fail()

        text = self.text(f"/twin/shop/order/{self.order.pk}/change/")

        assert "Failed This admin site has no page for Button orders" in text


class DatabaseTests(HostTestCase):
    databases = {"default", "archive"}

    def test_trouble_with_our_table_is_none_of_the_page(self):
        def away(execute, sql, params, many, context):
            if "django_button_orders_buttonorder" in sql:
                raise OperationalError("no such table")
            return execute(sql, params, many, context)

        with (
            connection.execute_wrapper(away),
            self.assertLogs("django_button_orders", "ERROR"),
        ):
            text = self.text()

        assert "The state of its report cannot be read right now." in text
        assert "Number:" in text

    @override_settings(DATABASE_ROUTERS=[f"{__name__}.ReplicaRouter"])
    def test_replica_is_behind(self):
        with suppress_reporting():
            Order(pk=self.order.pk, number="42").save(using="archive")
        ButtonOrder.objects.using("default").update(status="failed", reason="refused")

        assert "Button refused this order" in self.text()
        self.client.post(*self.form("retry"))

        row = ButtonOrder.objects.using("default").get(pk=self.row.pk)
        assert row.status == "pending"

    @override_settings(DATABASE_ROUTERS=[f"{__name__}.ReplicaRouter"])
    def test_resume_where_a_replica_is_behind(self):
        paused = PausedAccount.objects.using("default")
        pause = paused.create(account="default", probe_at="2026-11-01T12:00Z")

        url = reverse(
            "admin:django_button_orders_pausedaccount_resume", args=[pause.pk]
        )
        self.client.post(url)

        assert not paused.exists()

    @override_settings(DATABASE_ROUTERS=[f"{__name__}.ShopRouter"])
    def test_database_that_the_admin_does_not_show(self):
        """A button would act on another row, which has the same key."""
        order = Order.objects.create(number="44")
        ButtonOrder.objects.using("archive").update(status="failed", reason="refused")

        text = self.text(host_url(order))

        assert "Button refused this order" in text
        assert "Its Button order is in the database archive" in text
        assert self.form("retry", host_url(order)) is None


@override_settings(ROOT_URLCONF=__name__)
class ArchiveTests(HostTestCase):
    """A site shows and changes the Button orders of a second database."""

    databases = {"default", "archive"}

    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        cls.archived = Order(number="44")
        cls.archived.save(using="archive")
        rows = ButtonOrder.objects.using("archive")
        # In the first database, this key is that of another row.
        rows.update(id=cls.row.pk, status="failed", reason="refused")
        cls.archived_row = rows.get()

    def name(self, view, model="buttonorder", site="vault", pk=None):
        args = [] if pk is None else [pk]
        return reverse(f"{site}:django_button_orders_{model}_{view}", args=args)

    def test_list_and_page(self):
        text = self.text(self.name("changelist"))
        assert " 44 " in text
        assert " 42 " not in text

        text = self.text(self.name("change", pk=self.archived_row.pk))
        assert "Button refused this order" in text

    def test_acts_on_the_row_with_its_key_in_the_other_database(self):
        log_change(self.row, self.user.pk, "Told Grace.")
        log_change(self.archived_row, self.user.pk, "Told Ada.")

        text = self.text(self.name("history", pk=self.archived_row.pk))

        assert "Told Ada." in text
        assert "Told Grace." not in text

    def test_box_and_its_button(self):
        url = host_url(self.archived, "vault")
        action, data = self.form("retry", url)

        response = self.client.post(action, data)

        assert response["Location"] == url
        self.archived_row.refresh_from_db()
        assert self.archived_row.status == "pending"

    def test_action_of_the_list(self):
        data = {"action": "dismiss_orders", "_selected_action": self.archived_row.pk}
        response = self.client.post(self.name("changelist"), data)
        html = response.content.decode()
        action = unescape(
            re.search(r'<form[^>]* action="([^"]*dismiss[^"]*)"', html)[1]
        )
        fields = re.findall(r'name="(\w+)" value="([^"]*)"', html)

        self.client.post(action, {name: unescape(value) for name, value in fields})

        self.archived_row.refresh_from_db()
        assert self.archived_row.status == "dismissed"
        self.row.refresh_from_db()
        assert self.row.status == "pending"

    def test_resume(self):
        paused = PausedAccount.objects.using("archive")
        paused.create(account="default", probe_at="2026-11-01T12:00Z")
        ButtonOrder.objects.using("archive").update(status="pending")

        url = host_url(self.archived, "vault")
        self.client.post(*self.form("resume", url))

        assert not paused.exists()

    def test_resume_on_a_site_with_the_pauses_of_another_database(self):
        paused = PausedAccount.objects.using("archive")
        paused.create(account="default", probe_at="2026-11-01T12:00Z")
        ButtonOrder.objects.using("archive").update(status="pending")

        assert self.form("resume", host_url(self.archived, "half")) is None

    def test_order_that_is_added(self):
        self.client.post(
            self.name("add"),
            {
                "order_id": "45",
                "account": "default",
                "total": "7000",
                "currency": "USD",
                "purchase_date_0": "2026-11-01",
                "purchase_date_1": "12:00",
            },
        )

        assert ButtonOrder.objects.using("archive").filter(order_id="45").exists()
        assert not ButtonOrder.objects.filter(order_id="45").exists()

    def test_site_of_the_first_database(self):
        text = self.text(self.name("changelist", site="admin"))

        assert " 42 " in text
        assert " 44 " not in text


class TagTests(HostTestCase):
    """The template tag works outside the admin."""

    def setUp(self):
        self.fail()
        self.url = f"/orders/{self.order.pk}/"

    def test_operator(self):
        self.client.force_login(self.user)
        action, data = self.form("retry")

        response = self.client.post(action, data)

        assert response["Location"] == self.url
        self.row.refresh_from_db()
        assert self.row.status == "pending"

    def test_customers_see_nothing(self):
        assert self.text() == " Order 42 "

    def test_nor_does_who_is_not_on_the_staff(self):
        user = create_user("view_buttonorder", name="eve")
        user.is_staff = False
        user.save()
        self.client.force_login(user)

        assert BOX not in self.text()

    @override_settings(ROOT_URLCONF=(path("orders/<uuid:pk>/", order),))
    def test_admin_without_addresses(self):
        self.client.force_login(self.user)

        assert "Failed This admin site has no page for Button orders" in self.text()

    def test_variable_that_there_is_not(self):
        self.client.force_login(self.user)
        request = self.client.get(self.url).wsgi_request
        request.user = self.user
        page = Template("{% load button_orders %}{% button_order_box ordre %}")

        assert page.render(RequestContext(request)).strip() == ""

    def test_without_a_request(self):
        page = Template("{% load button_orders %}{% button_order_box order %}")

        with pytest.raises(ImproperlyConfigured, match="needs a request"):
            page.render(Context({"order": self.order}))

    def test_project_without_an_admin(self):
        code = """
import django
from django.conf import settings
from django.template import engines
settings.configure(
    INSTALLED_APPS=[
        "django.contrib.auth", "django.contrib.contenttypes", "django_button_orders"
    ],
    BUTTON_ORDERS={"API_KEY": "sk"},
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True
    }],
)
django.setup()
from django.contrib.auth.models import User
from django.http import HttpRequest
page = "{% load button_orders %}{% button_order_box order %}Hello"
template = engines["django"].from_string(page)
print(template.render({"order": User(pk=1)}, HttpRequest()).strip())
"""
        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )

        assert (done.stdout, done.stderr) == ("Hello\n", "")
