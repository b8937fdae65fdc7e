"""Every URL of the admin, for users without rights and users who may only view."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.core import signing
from django.db import models, transaction
from django.test import Client, modify_settings, override_settings
from django.urls import reverse

from django_button_orders.delivery.sweep import report_due
from django_button_orders.models import (
    ButtonOrder,
    Difference,
    PausedAccount,
    Submission,
)
from tests.admin.test_orders import order_data
from tests.admin.utils import (
    ADD_URL,
    LIST_URL,
    AdminTestCase,
    create_submission,
    page_url,
)
from tests.shop.models import Order
from tests.utils import PURCHASED, button_settings

FORM = "application/x-www-form-urlencoded"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"
APP = apps.get_app_config("django_button_orders")
MANY_VERBS = ("retry", "dismiss", "cancel", "erase")
VERBS = ("retry", "dismiss", "cancel", "overwrite")
ALL_VERBS = (*MANY_VERBS, "overwrite")
VIEW = (
    "view_buttonorder",
    "view_difference",
    "view_pausedaccount",
    "view_submission",
)
ADMINS = {
    model: model_admin
    for model, model_admin in admin.site._registry.items()
    if model._meta.app_label == APP.label
}
# The status of a GET for a superuser, a member of the staff without rights, a viewer.
STATUSES = {
    "buttonorder_changelist": (200, 403, 200),
    "buttonorder_add": (200, 403, 403),
    "buttonorder_history": (200, 403, 200),
    "buttonorder_delete": (403, 403, 403),
    "buttonorder_change": (200, 403, 200),
    "buttonorder_retry": (405, 405, 405),
    "buttonorder_dismiss": (405, 405, 405),
    "buttonorder_cancel": (405, 405, 405),
    "buttonorder_overwrite": (405, 405, 405),
    "buttonorder_ask": (405, 405, 405),
    "buttonorder_retry_many": (405, 405, 405),
    "buttonorder_dismiss_many": (405, 405, 405),
    "buttonorder_cancel_many": (405, 405, 405),
    "buttonorder_erase_many": (405, 405, 405),
    "buttonorder_check_adapter": (200, 403, 200),
    "buttonorder_export": (200, 403, 200),
    "pausedaccount_changelist": (200, 403, 200),
    "pausedaccount_add": (403, 403, 403),
    "pausedaccount_history": (200, 403, 200),
    "pausedaccount_delete": (403, 403, 403),
    "pausedaccount_change": (200, 403, 200),
    "pausedaccount_resume": (405, 405, 405),
    "difference_changelist": (200, 403, 200),
    "difference_add": (403, 403, 403),
    "difference_history": (200, 403, 200),
    "difference_delete": (403, 403, 403),
    "difference_change": (200, 403, 200),
    # URLs from before Django 1.9. They redirect to the page, which checks the right.
    "buttonorder": (302, 302, 302),
    "pausedaccount": (302, 302, 302),
    "difference": (302, 302, 302),
    "app": (200, 404, 200),
}
# The views that change something, by POST. The others only show something.
CHANGING = {
    *(f"buttonorder_{view}" for view in ("add", "change", "delete", "ask", *VERBS)),
    *(f"buttonorder_{verb}_many" for verb in MANY_VERBS),
    *(f"pausedaccount_{view}" for view in ("add", "change", "delete", "resume")),
    *(f"difference_{view}" for view in ("add", "change", "delete")),
    "_saveasnew",
    "_continue",
    "_addanother",
    "_popup",
}


def addresses():
    """
    Return the URLs of all admin pages of the app, by model and view.

    They come from ``get_urls()``, with the key of a row for each argument.
    """
    found = {"app": reverse("admin:app_list", args=[APP.label])}
    for model, model_admin in ADMINS.items():
        name = model._meta.model_name
        for pattern in model_admin.get_urls():
            route = str(pattern.pattern)
            for argument in pattern.pattern.converters:
                route = route.replace(f"<path:{argument}>", f"{model.objects.get().pk}")
            view = (pattern.name or name).removeprefix(f"{APP.label}_")
            found[view] = f"{reverse('admin:index')}{APP.label}/{name}/{route}"
    return found


def snapshot():
    """Return all rows of the app's tables and of the admin's log."""
    return [
        list(model.objects.order_by("pk").values())
        for model in (*APP.get_models(), LogEntry)
    ]


# No Button answers, so Ask Button records a failed call.
@override_settings(BUTTON_ORDERS=button_settings(BASE_URL="http://127.0.0.1:9"))
class RightsTestCase(AdminTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        # It can be retried, dismissed, cancelled, reported over another and edited.
        ButtonOrder.objects.update(
            status="failed", reason="taken", next_attempt_at=None
        )
        PausedAccount.objects.create(account="eu", probe_at=PURCHASED)
        Difference.objects.create(
            side="button", kind="different", order_id="1994", values={"total": [1, 2]}
        )
        Submission.objects.create(
            button_order=cls.row, revision=1, started_at=PURCHASED, duration_ms=1
        )
        cls.addresses = addresses()
        cls.before = snapshot()

    def everything(self, **values):
        """Return form data that is valid for the POST of every page."""
        return order_data(
            total="1",
            post="yes",
            index="0",
            select_across="1",
            _selected_action=self.row.pk,
            # The management forms of an editable list and of inlines.
            **{
                f"{prefix}-{name}": value
                for prefix in ("form", "submissions")
                for name, value in {
                    "TOTAL_FORMS": "1",
                    "INITIAL_FORMS": "0",
                    "0-id": f"{self.row.pk}",
                    "0-button_order": f"{self.row.pk}",
                    "0-total": "1",
                    "0-status": "reported",
                    "0-operation": "create",
                }.items()
            },
            **values,
        )

    def chosen(self, name):
        """Return the order's key, signed for a verb and the current user."""
        verb = name.removeprefix("buttonorder_").removesuffix("_many")
        user = self.client.session.get("_auth_user_id")
        salt = f"django_button_orders.{verb}.{user}"
        return {"selection": signing.dumps([self.row.pk], salt=salt)}

    def requests(self):
        """Return the name, the URL and the data of every POST."""
        page, listed = page_url(self.row), LIST_URL
        names = ("_saveasnew", "_continue", "_addanother", "_popup")
        actions = (*(f"{verb}_orders" for verb in ALL_VERBS), "delete_selected")
        return [
            *(
                (name, url, self.everything(_save="Save", **self.chosen(name)))
                for name, url in self.addresses.items()
            ),
            *((name, page, self.everything(**{name: "1"})) for name in names),
            *((name, listed, self.everything(action=name)) for name in actions),
            (
                "resume_accounts",
                self.addresses["pausedaccount_changelist"],
                {
                    **self.everything(action="resume_accounts"),
                    "_selected_action": PausedAccount.objects.get().pk,
                },
            ),
        ]

    def check_nothing_changed(self):
        assert snapshot() == self.before


class AddressTests(RightsTestCase):
    def test_all(self):
        """A new URL must be added to the tables of this module."""
        assert set(self.addresses) == set(STATUSES)
        assert not any("<" in url for url in self.addresses.values())

    def test_they_lead_somewhere(self):
        for name, url in self.addresses.items():
            with self.subTest(name=name):
                assert self.client.get(url).status_code == STATUSES[name][0]

    def test_they_do_something(self):
        """A superuser's requests with the same data do change something."""
        many = {f"buttonorder_{verb}_many" for verb in MANY_VERBS}
        names = {"buttonorder_add", *many}
        names |= {f"buttonorder_{view}" for view in ("change", *VERBS)}
        names |= {"_saveasnew", "_continue", "_addanother", "_popup"}
        names |= {"buttonorder_ask", "pausedaccount_resume", "resume_accounts"}
        changed = set()
        for name, url, data in self.requests():
            with transaction.atomic():
                self.client.post(url, data)
                if snapshot() != self.before:
                    changed.add(name)
                    # Each change adds a log entry or a submission with the user.
                    entries = LogEntry.objects.exclude(pk__in=self.logged())
                    assert {entry.user for entry in entries} == {self.user}, name
                transaction.set_rollback(True)

        assert changed == names

    def logged(self):
        return [values["id"] for values in self.before[-1]]


class AnonymousTests(RightsTestCase):
    def check_login(self, response, url):
        login = reverse("admin:login")
        assert response.status_code == 302
        assert response["Location"] == f"{login}?next={url}"

    def check_everything(self):
        for name, url, data in self.requests():
            with self.subTest(name=name):
                self.check_login(self.client.get(url), url)
                self.check_login(self.client.post(url, data), url)
                self.check_nothing_changed()

    def test_nobody(self):
        self.client.logout()

        self.check_everything()

    def test_customer(self):
        """A user with all rights, but not a member of the staff."""
        user = self.log_in(*VIEW, "change_buttonorder", "retry_buttonorder")
        user.is_staff = False
        user.save()

        self.check_everything()

    def test_dismissed_employee(self):
        self.user.is_active = False
        self.user.save()

        self.check_everything()


class StaffTests(RightsTestCase):
    """A member of the staff with rights for other apps only."""

    def setUp(self):
        super().setUp()
        self.log_in("view_order", "change_order", "delete_order")

    def test_get(self):
        for name, url in self.addresses.items():
            with self.subTest(name=name):
                response = self.client.get(url)

                assert response.status_code == STATUSES[name][1]
                assert b"1994" not in response.content

    def test_post(self):
        for name, url, data in self.requests():
            with self.subTest(name=name):
                response = self.client.post(url, data)

                expected = {STATUSES.get(name, (0, 403))[1], 403}
                assert response.status_code in expected | {405}
                self.check_nothing_changed()

    def test_does_not_learn_which_orders_there_are(self):
        for verb in (*VERBS, "ask"):
            with self.subTest(verb=verb):
                url = page_url(self.row, verb)
                here = self.client.post(url)
                gone = self.client.post(url.replace(f"/{self.row.pk}/", "/4711/"))

                assert here.status_code == gone.status_code == 403
                assert here.content == gone.content

    def test_choices_of_other_forms(self):
        query = {
            "app_label": APP.label,
            "model_name": "submission",
            "field_name": "button_order",
        }

        response = self.client.get(reverse("admin:autocomplete"), query)

        assert response.status_code == 403


class ViewerTests(RightsTestCase):
    def setUp(self):
        super().setUp()
        self.log_in(*VIEW)

    def test_get(self):
        for name, url in self.addresses.items():
            with self.subTest(name=name):
                assert self.client.get(url).status_code == STATUSES[name][2]
                self.check_nothing_changed()

    def test_post(self):
        for name, url, data in self.requests():
            with self.subTest(name=name):
                response = self.client.post(url, data)

                if name in CHANGING:
                    assert response.status_code == 403
                self.check_nothing_changed()

    def test_cannot_ask_about_other_tables(self):
        """A lookup could read a related user's password hash letter by letter."""
        for lookup in (
            "submissions__user__password__startswith",
            "submissions__user__email__contains",
            "submissions__request_body__contains",
        ):
            with self.subTest(lookup=lookup):
                response = self.client.get(LIST_URL, {lookup: "a"})

                assert response.status_code == 400


class ActionTests(RightsTestCase):
    """An action needs its own permission and the one to view what it is about."""

    # The model of each action, by its permission.
    models = {
        **{f"{verb}_buttonorder": "buttonorder" for verb in (*ALL_VERBS, "ask")},
        "resume_pausedaccount": "pausedaccount",
    }

    def permission_for(self, name):
        """Return the permission that a request of ``requests()`` needs, or None."""
        for permission, model in self.models.items():
            verb = permission.removesuffix(f"_{model}")
            listed = (f"{verb}_orders", f"{verb}_accounts")
            if name in (f"{model}_{verb}", f"{model}_{verb}_many", *listed):
                return permission
        return None

    def actions(self):
        for name, url, data in self.requests():
            if permission := self.permission_for(name):
                yield name, url, data, permission

    def test_own_permission_alone(self):
        self.log_in(*self.models)
        for name, url, data, _ in self.actions():
            with self.subTest(name=name):
                assert self.client.post(url, data).status_code == 403
                self.check_nothing_changed()

    def test_permission_to_view_something_else(self):
        for model in set(self.models.values()):
            self.log_in(*self.models, f"view_{model}", name=model)
            for name, url, data, permission in self.actions():
                if self.models[permission] != model:
                    with self.subTest(name=name):
                        assert self.client.post(url, data).status_code == 403
                        self.check_nothing_changed()

    def test_both(self):
        """Each pair of permissions opens its own action, and no other."""
        for opened, model in self.models.items():
            self.log_in(opened, f"view_{model}", name=opened)
            for name, url, data, permission in self.actions():
                with self.subTest(opened=opened, name=name), transaction.atomic():
                    response = self.client.post(url, data)

                    # An action of the list of orders first asks.
                    if permission == opened and not name.endswith("_orders"):
                        # The list of erased orders is a page.
                        is_page = name == "buttonorder_erase_many"
                        assert response.status_code == (200 if is_page else 302)
                        assert snapshot() != self.before
                    else:
                        self.check_nothing_changed()
                    transaction.set_rollback(True)

    def test_every_action_is_here(self):
        found = {permission for *_, permission in self.actions()}
        others = {"view_bodies_submission"}
        custom = {name for model in ADMINS for name, _ in model._meta.permissions}

        assert found == set(self.models)
        assert custom - others == found


class MethodTests(RightsTestCase):
    def test_only_a_post_changes(self):
        """Only a POST changes something, even for a superuser."""
        query = urlencode(self.everything(_save="Save"))
        for name, url in self.addresses.items():
            for method in ("GET", "HEAD", "PUT", "DELETE"):
                with self.subTest(name=name, method=method):
                    self.client.generic(method, url, query, FORM, QUERY_STRING=query)

                    self.check_nothing_changed()

    def test_action_in_the_address(self):
        for verb in VERBS:
            query = self.everything(action=f"{verb}_orders")
            with self.subTest(verb=verb):
                self.client.get(LIST_URL, query)

                self.check_nothing_changed()


class ForgeryTests(RightsTestCase):
    """Another site's page makes a superuser's browser send a POST."""

    def setUp(self):
        super().setUp()
        self.client = Client(enforce_csrf_checks=True)
        self.client.force_login(self.user)

    def check_refused(self, **values):
        for name, url, data in self.requests():
            with self.subTest(name=name, **values):
                response = self.client.post(url, {**data, **values})

                assert response.status_code == 403
                self.check_nothing_changed()

    def test_no_token(self):
        self.check_refused()

    def test_token_of_somebody_else(self):
        self.client.get(page_url(self.row))

        self.check_refused(csrfmiddlewaretoken="a" * 64)

    @modify_settings(MIDDLEWARE={"remove": CSRF})
    def test_project_without_the_middleware(self):
        self.check_refused()


class AssignmentTestCase(RightsTestCase):
    """Forms ignore fields that they do not show."""

    # Columns that no form may set, except the first two when it adds a row.
    hidden = [
        ButtonOrder._meta.get_field("account"),
        ButtonOrder._meta.get_field("order_id"),
        *(field for field in ButtonOrder._meta.concrete_fields if not field.editable),
        ButtonOrder._meta.pk,
    ]
    moving = ("created_at", "updated_at", "next_attempt_at")
    by_name = {"status": "reported", "reason": "finalized", "account": "eu"}
    by_type = {
        models.ForeignKey: "1",
        models.DateTimeField: "2020-02-02 00:00:00",
        models.UUIDField: str(UUID(int=1)),
        models.IntegerField: "2020202",
        models.BooleanField: "on",
        models.TextField: "assigned",
        models.CharField: "assigned",
        models.GeneratedField: "assigned",
    }

    def value_for(self, field):
        by_type = (
            value for kind, value in self.by_type.items() if isinstance(field, kind)
        )
        return self.by_name.get(field.name) or next(by_type)

    def smuggled(self, *fields):
        """Return form data that sets columns under all names a form might use."""
        data = {}
        for field in fields:
            value = self.value_for(field)
            day, _, time = value.partition(" ")
            data |= dict.fromkeys([field.name, field.attname], value)
            data |= {f"{field.name}_0": day, f"{field.name}_1": time}
            data |= {f"initial-{field.name}": value, f"form-0-{field.name}": value}
        return data

    def post(self, url, **values):
        response = self.client.post(f"{url}?{urlencode(values)}", values)
        assert response.status_code == 302

    def values_of(self, pk):
        """Return a row without its times, and check that those are recent."""
        values = ButtonOrder.objects.filter(pk=pk).values().get()
        for name in self.moving:
            moment = values.pop(name)
            assert moment is None or moment.year > 2025
        return values


class ChangeFormTests(AssignmentTestCase):
    def change(self, **values):
        """Change the total and try to set more columns. Return the row."""
        with transaction.atomic():
            self.post(page_url(self.row), **{**order_data(total="6000"), **values})
            changed = self.values_of(self.row.pk)
            assert Submission.objects.count() == PausedAccount.objects.count() == 1
            transaction.set_rollback(True)
        return changed

    @override_settings(BUTTON_ORDERS=button_settings(ACCOUNTS={"eu": {}}))
    def test_each_field(self):
        self.log_in("change_buttonorder")
        usual = self.change()
        assert (usual["total"], usual["status"]) == (6000, "pending")
        for field in self.hidden:
            with self.subTest(name=field.name):
                assert self.change(**self.smuggled(field)) == usual

    def test_all_at_once(self):
        usual = self.change()

        assert self.change(**self.smuggled(*self.hidden)) == usual

    def test_nothing_else_changed(self):
        with transaction.atomic():
            data = {**order_data(), **self.smuggled(*self.hidden)}
            self.post(page_url(self.row), **data)
            after = snapshot()
            transaction.set_rollback(True)

        assert after[0] == self.before[0]

    def test_order_of_the_shop(self):
        """The page of a host order is read-only, so a POST changes nothing."""
        ButtonOrder.objects.update(source_id="1")
        before = snapshot()
        data = {**order_data(total="1"), **self.smuggled(*self.hidden)}

        assert self.client.post(page_url(self.row), data).status_code == 403
        assert snapshot() == before


class AddFormTests(AssignmentTestCase):
    def add(self, **values):
        """Add an order and try to set more columns. Return the row."""
        with transaction.atomic():
            self.post(ADD_URL, **{**values, **order_data(order_id="1995")})
            added = ButtonOrder.objects.exclude(pk=self.row.pk).get()
            values = self.values_of(added.pk)
            # A database may reuse a key, but the new row must not have the posted one.
            assert values.pop("id") != 2020202
            assert Submission.objects.count() == PausedAccount.objects.count() == 1
            transaction.set_rollback(True)
        return values

    def test_each_field(self):
        self.log_in("add_buttonorder", "view_buttonorder")
        usual = self.add()
        assert (usual["order_id"], usual["status"]) == ("1995", "pending")
        for field in self.hidden[2:]:
            with self.subTest(name=field.name):
                assert self.add(**self.smuggled(field)) == usual

    def test_all_at_once(self):
        usual = self.add()

        assert self.add(**self.smuggled(*self.hidden[2:])) == usual


class QuotedErrorTests(AdminTestCase):
    """What the shop's code says of a customer needs the permission to see customers."""

    WHO = "Jane-Planted"

    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        cls.order = Order.objects.create(number="7", email=cls.WHO, trouble="build")
        cls.draft = Order.objects.create(number="8", is_paid=False)
        Order.objects.filter(pk=cls.draft.pk).update(
            email=cls.WHO, trouble="get_account"
        )
        report_due(using="default")
        cls.row = ButtonOrder.objects.get(order_id="7")
        error = cls.row.last_error
        assert error.endswith(f": No luck with {cls.WHO}")
        Difference.objects.create(
            side="button", kind="invalid", order_id="7", error=error
        )
        create_submission(cls.row, outcome="failed", error=error)

    def pages(self):
        """Return the texts of all pages on which an error may stand."""
        admin, difference = "admin:django_button_orders_", Difference.objects.get()
        urls = [
            page_url(self.row),
            page_url(self.row, "history"),
            LIST_URL,
            reverse(f"{admin}buttonorder_export"),
            reverse(f"{admin}buttonorder_check_adapter"),
            reverse(f"{admin}difference_changelist"),
            reverse(f"{admin}difference_change", args=[difference.pk]),
            *(
                reverse("admin:shop_order_change", args=[order.pk])
                for order in (self.order, self.draft)
            ),
        ]
        return {url: self.client.get(url).getvalue().decode() for url in urls}

    def test_viewer(self):
        self.log_in(*VIEW, "view_order")

        for url, text in self.pages().items():
            with self.subTest(url=url):
                # The page of the shop's order has the name as the shop's own field.
                assert f"No luck with {self.WHO}" not in text
                assert "TroubleError" in text

    def test_who_may_see_customers(self):
        self.log_in(*VIEW, "view_order", "view_bodies_submission")

        pages = self.pages()

        told = {url for url in pages if f"No luck with {self.WHO}" in pages[url]}
        # The lists and the export shorten errors. A check of the adapter shows none.
        views = ("change", "history")
        assert told == {url for url in pages if any(view in url for view in views)}
