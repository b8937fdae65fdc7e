"""The box of Button on the order's page of Oscar's dashboard."""

from __future__ import annotations

from html.parser import HTMLParser

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.checks.registry import registry
from django.test import Client, SimpleTestCase, TestCase
from django.urls import reverse

from django_button_orders.contrib.oscar.checks import check_templates
from django_button_orders.models import ButtonOrder
from tests.oscar.utils import Shopper, create_product

HEADING = "Reporting to Button"
RETRY = "retry_buttonorder"
VIEW = "view_buttonorder"
# Oscar asks for it in the dashboard.
ORDERS = "view_order"


class Forms(HTMLParser):
    """The forms of a page, and whether one is inside another."""

    def __init__(self, page):
        super().__init__()
        self.depth = 0
        self.deepest = 0
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self.depth += 1
            self.deepest = max(self.deepest, self.depth)
            self.found.append({"action": attrs.get("action"), "fields": {}})
        elif tag == "input" and self.depth:
            self.found[-1]["fields"][attrs.get("name")] = attrs.get("value", "")

    def handle_endtag(self, tag):
        if tag == "form":
            self.depth -= 1


class BoxTests(TestCase):
    databases = {"default", "archive"}

    def setUp(self):
        self.order = Shopper().buy(create_product())
        self.row = ButtonOrder.objects.get()
        ButtonOrder.objects.update(status="failed", reason="refused")
        self.path = reverse("dashboard:order-detail", args=[self.order.number])

    def login(self, *permissions, **kwargs):
        user = get_user_model().objects.create_user(
            "clerk", "clerk@shop.test", "secret-1234", **kwargs
        )
        names = [*permissions, ORDERS] if user.is_staff else permissions
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client = Client()
        client.force_login(
            user, backend="oscar.apps.customer.auth_backends.EmailBackend"
        )
        return client

    def page(self, client):
        response = client.get(self.path)
        assert response.status_code == 200
        return response.content.decode()

    def test_state_and_button(self):
        page = self.page(self.login(VIEW, RETRY, is_staff=True))

        assert page.count(HEADING) == 1
        assert f"/buttonorder/{self.row.pk}/retry/" in page
        # Oscar's own page is still there.
        assert "Items ordered" in page
        assert "Customer Information" in page

    def test_no_form_is_in_another(self):
        forms = Forms(self.page(self.login(VIEW, RETRY, is_staff=True)))

        assert (forms.depth, forms.deepest) == (0, 1)

    def test_button_retries_and_comes_back(self):
        client = self.login(VIEW, RETRY, is_staff=True)
        retry = next(
            form
            for form in Forms(self.page(client)).found
            if form["action"] and "/retry/" in form["action"]
        )

        response = client.post(retry["action"], retry["fields"], follow=True)

        assert response.redirect_chain == [(self.path, 302)]
        assert str(next(iter(response.context["messages"])))
        self.row.refresh_from_db()
        assert self.row.status == "pending"

    def test_error_quotes_no_customer(self):
        error = "Adapter.build raised KeyError at shop/button_orders.py:7: Jane Doe"
        ButtonOrder.objects.update(reason="invalid", last_error=error)

        page = self.page(self.login(VIEW, is_staff=True))

        assert "KeyError at shop/button_orders.py:7" in page
        assert "Jane Doe" not in page

    def test_staff_without_permission(self):
        page = self.page(self.login(is_staff=True))

        assert HEADING not in page
        assert "django_button_orders" not in page

    def test_staff_who_may_only_view(self):
        page = self.page(self.login(VIEW, is_staff=True))

        assert HEADING in page
        assert "/retry/" not in page

    def test_people_of_a_partner(self):
        """They see the orders of their partner, and nothing of Button."""
        client = self.login(VIEW, RETRY, "dashboard_access")
        partner = self.order.lines.get().partner
        partner.users.set(get_user_model().objects.filter(username="clerk"))

        page = self.page(client)

        assert "Items ordered" in page
        assert HEADING not in page

    def test_order_without_report(self):
        ButtonOrder.objects.all().delete()

        page = self.page(self.login(VIEW, is_staff=True))

        assert "This order has no Button order" in page

    def test_order_list(self):
        response = self.login(is_staff=True).get(reverse("dashboard:order-list"))

        assert response.status_code == 200


class PlaceTests(SimpleTestCase):
    OURS = "django_button_orders.contrib.oscar"

    def test_above_oscar(self):
        assert check_templates() == []

    def test_below_oscar(self):
        others = [name for name in settings.INSTALLED_APPS if name != self.OURS]
        with self.settings(INSTALLED_APPS=[*others, self.OURS]):
            (warning,) = check_templates()

        assert warning.id == "django_button_orders.W022"
        assert "oscar.config.Shop" in warning.hint

    def test_manage_py_check_runs_it(self):
        assert check_templates in registry.get_checks()
