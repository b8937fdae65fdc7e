"""Every address of the admin, as somebody who may not, and as one who may only look."""

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

from django_button_orders.models import (
    ButtonOrder,
    Difference,
    PausedAccount,
    Submission,
)
from tests.admin.test_orders import order_data
from tests.admin.utils import ADD_URL, LIST_URL, AdminTestCase, page_url
from tests.utils import PURCHASED, button_settings

FORM = "application/x-www-form-urlencoded"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"
APP = apps.get_app_config("django_button_orders")
VERBS = ("retry", "dismiss", "cancel")
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
# What a superuser, a stranger on the staff and a viewer get from a GET.
STATUSES = {
    "buttonorder_changelist": (200, 403, 200),
    "buttonorder_add": (200, 403, 403),
    "buttonorder_history": (200, 403, 200),
    "buttonorder_delete": (403, 403, 403),
    "buttonorder_change": (200, 403, 200),
    "buttonorder_retry": (405, 405, 405),
    "buttonorder_dismiss": (405, 405, 405),
    "buttonorder_cancel": (405, 405, 405),
    "buttonorder_ask": (405, 405, 405),
    "buttonorder_retry_many": (405, 405, 405),
    "buttonorder_dismiss_many": (405, 405, 405),
    "buttonorder_cancel_many": (405, 405, 405),
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
    # From before Django 1.9: they lead on to the page, which asks for the right.
    "buttonorder": (302, 302, 302),
    "pausedaccount": (302, 302, 302),
    "difference": (302, 302, 302),
    "app": (200, 404, 200),
}
# These do what they are asked for by a POST; all others can only show something.
CHANGING = {
    *(f"buttonorder_{view}" for view in ("add", "change", "delete", "ask", *VERBS)),
    *(f"buttonorder_{verb}_many" for verb in VERBS),
    *(f"pausedaccount_{view}" for view in ("add", "change", "delete", "resume")),
    *(f"difference_{view}" for view in ("add", "change", "delete")),
    "_saveasnew",
    "_continue",
    "_addanother",
    "_popup",
}


def addresses():
    """
    Return the addresses of all pages of the app, by model and view.

    They are those that the admin knows of, with a key for each argument.
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
    """Return all rows of all tables of the app, and what the admin has logged."""
    return [
        list(model.objects.order_by("pk").values())
        for model in (*APP.get_models(), LogEntry)
    ]


# Button is not there, so that asking it fails, and that is on record.
@override_settings(BUTTON_ORDERS=button_settings(BASE_URL="http://127.0.0.1:9"))
class RightsTestCase(AdminTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        # A failed order can be retried, dismissed, cancelled and edited.
        ButtonOrder.objects.update(
            status="failed", reason="refused", next_attempt_at=None
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
        """Return what a POST to any page could want, all at once."""
        return order_data(
            total="1",
            post="yes",
            index="0",
            select_across="1",
            _selected_action=self.row.pk,
            # As if something could be edited in the list, or beside the order.
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
        """Return the order as chosen and counted, signed for whoever is logged in."""
        verb = name.removeprefix("buttonorder_").removesuffix("_many")
        user = self.client.session.get("_auth_user_id")
        salt = f"django_button_orders.{verb}.{user}"
        return {"selection": signing.dumps([self.row.pk], salt=salt)}

    def requests(self):
        """Return what can be posted where: a name, an address and data."""
        page, listed = page_url(self.row), LIST_URL
        names = ("_saveasnew", "_continue", "_addanother", "_popup")
        actions = (*(f"{verb}_orders" for verb in VERBS), "delete_selected")
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
        """A new address has to be put into the tables of this module."""
        assert set(self.addresses) == set(STATUSES)
        assert not any("<" in url for url in self.addresses.values())

    def test_they_lead_somewhere(self):
        for name, url in self.addresses.items():
            with self.subTest(name=name):
                assert self.client.get(url).status_code == STATUSES[name][0]

    def test_they_do_something(self):
        """With all rights, the same requests do change what they are about."""
        names = {"buttonorder_add", *(f"buttonorder_{verb}_many" for verb in VERBS)}
        names |= {f"buttonorder_{view}" for view in ("change", *VERBS)}
        names |= {"_saveasnew", "_continue", "_addanother", "_popup"}
        names |= {"buttonorder_ask", "pausedaccount_resume", "resume_accounts"}
        changed = set()
        for name, url, data in self.requests():
            with transaction.atomic():
                self.client.post(url, data)
                if snapshot() != self.before:
                    changed.add(name)
                    # Whatever is done leaves a trace of who has done it.
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
        """Somebody with rights who is no member of the staff."""
        user = self.log_in(*VIEW, "change_buttonorder", "retry_buttonorder")
        user.is_staff = False
        user.save()

        self.check_everything()

    def test_dismissed_employee(self):
        self.user.is_active = False
        self.user.save()

        self.check_everything()


class StaffTests(RightsTestCase):
    """A member of the staff with rights elsewhere, and none here."""

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
        """Such as which hash the password of whoever retried it begins with."""
        for lookup in (
            "submissions__user__password__startswith",
            "submissions__user__email__contains",
            "submissions__request_body__contains",
        ):
            with self.subTest(lookup=lookup):
                response = self.client.get(LIST_URL, {lookup: "a"})

                assert response.status_code == 400


class MethodTests(RightsTestCase):
    def test_only_a_post_changes(self):
        """Even for a superuser, who may do all of it."""
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
    """A page of somebody else's makes the browser of a superuser send a POST."""

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
    """Forms that are sent with more than they ask for."""

    # Those of the row are out of reach; the first two only once it exists.
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
        models.IntegerField: "77",
        models.TextField: "assigned",
        models.CharField: "assigned",
    }

    def value_for(self, field):
        by_type = (
            value for kind, value in self.by_type.items() if isinstance(field, kind)
        )
        return self.by_name.get(field.name) or next(by_type)

    def smuggled(self, *fields):
        """Return form data with a value for fields, under all likely names."""
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
        """Return a row as a dict, without its moments, which must be of today."""
        values = ButtonOrder.objects.filter(pk=pk).values().get()
        for name in self.moving:
            moment = values.pop(name)
            assert moment is None or moment.year > 2025
        return values


class ChangeFormTests(AssignmentTestCase):
    def change(self, **values):
        """Change the total, and more if possible; return the row after that."""
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
        """Its form is only to look at, so that nothing of it can be sent."""
        ButtonOrder.objects.update(source_id="1")
        before = snapshot()
        data = {**order_data(total="1"), **self.smuggled(*self.hidden)}

        assert self.client.post(page_url(self.row), data).status_code == 403
        assert snapshot() == before


class AddFormTests(AssignmentTestCase):
    def add(self, **values):
        """Add an order, with more if possible; return its row."""
        with transaction.atomic():
            self.post(ADD_URL, **{**values, **order_data(order_id="1995")})
            added = ButtonOrder.objects.exclude(pk=self.row.pk).get()
            values = self.values_of(added.pk)
            # Databases do not give a key twice, or do; it must not be ours.
            assert values.pop("id") != 77
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
