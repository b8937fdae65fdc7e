from __future__ import annotations

from django.contrib.admin import AdminSite
from django.contrib.admin import site as admin_site
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.urls import path

from django_button_orders.admin import ButtonOrderAdmin
from django_button_orders.admin.standing import standing_context
from django_button_orders.models import ButtonOrder, PausedAccount
from tests.admin.utils import AdminTestCase, create_user, page_url

TEMPLATE = "admin/django_button_orders/includes/standing.html"
other_site = AdminSite(name="other")
other_site.register(ButtonOrder, ButtonOrderAdmin)
urlpatterns = [path("other/", other_site.urls)]


class StandingContextTests(AdminTestCase):
    def context(self, user=None, site=None, **values):
        request = RequestFactory().get("/elsewhere/")
        request.user = user or self.user
        return standing_context(request, self.row, site or admin_site, **values)

    def names(self, **values):
        return [button.name for button in self.context(**values)["buttons"]]

    def test_superuser(self):
        self.put(status="failed", reason="refused")
        self.row.refresh_from_db()
        PausedAccount.objects.all().pause("default", seconds=300, error="401")

        assert self.names() == ["retry", "dismiss", "cancel", "ask", "resume"]

    def test_each_permission(self):
        self.put(status="failed", reason="taken")
        self.row.refresh_from_db()
        PausedAccount.objects.all().pause("default", seconds=300, error="401")
        permissions = {
            "retry_buttonorder": ["retry"],
            "dismiss_buttonorder": ["dismiss"],
            "cancel_buttonorder": ["cancel"],
            "ask_buttonorder": ["ask"],
            "overwrite_buttonorder": ["overwrite"],
            "resume_pausedaccount": ["resume"],
            "view_bodies_submission": [],
        }
        for codename, names in permissions.items():
            with self.subTest(codename=codename):
                _, model = codename.rsplit("_", 1)
                view = ("view_buttonorder", f"view_{model}")
                user = create_user(*view, codename, name=codename)

                assert self.names(user=user) == names

    def test_nothing_for_who_may_not_see_it(self):
        user = create_user("retry_buttonorder", "view_order")

        assert self.context(user=user) == {}

    def test_next(self):
        assert self.context()["next_url"] == page_url(self.row)
        assert self.context(next_url="/back/")["next_url"] == "/back/"

    def test_rendered(self):
        html = render_to_string(TEMPLATE, self.context(next_url="/?a=1&b=2"))

        assert f'action="{page_url(self.row, "ask")}"' in html
        assert 'name="next" value="/?a=1&amp;b=2"' in html
        assert (
            "<strong>It is due, and a worker will report it shortly.</strong>" in html
        )
        assert "</summary>" in html
        assert 'name="note"' not in html

    def test_note_has_a_label(self):
        self.put(status="failed")
        self.row.refresh_from_db()

        html = render_to_string(TEMPLATE, self.context())

        assert f'<label for="button-order-{self.row.pk}-dismiss-note">' in html
        assert f'id="button-order-{self.row.pk}-dismiss-note"' in html

    def test_site_without_our_pages(self):
        assert self.context(site=AdminSite(name="bare")) == {}

    def test_other_site(self):
        with self.settings(ROOT_URLCONF="tests.admin.test_standing"):
            context = self.context(site=other_site)

        assert context["next_url"].startswith("/other/django_button_orders/")
        assert all(button.url.startswith("/other/") for button in context["buttons"])

    def test_other_site_without_accounts(self):
        PausedAccount.objects.all().pause("default", seconds=300, error="401")

        with self.settings(ROOT_URLCONF="tests.admin.test_standing"):
            context = self.context(site=other_site)

        assert [button.name for button in context["buttons"]] == ["cancel", "ask"]
