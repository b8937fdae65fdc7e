"""No stored text becomes HTML on any page of the admin."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models
from django.test import override_settings
from django.urls import reverse

from django_button_orders.models import (
    AttributionToken,
    ButtonOrder,
    CallRate,
    Checkpoint,
    Difference,
    PausedAccount,
    QueuedAction,
    Submission,
)
from django_button_orders.models.snapshots import Snapshot, SubmissionHour
from tests.admin.test_actions import many_url, signed_in
from tests.admin.test_orders import order_data
from tests.admin.utils import ADD_URL, LIST_URL, AdminTestCase, create_user, page_url
from tests.shop.models import Order, Page
from tests.utils import PURCHASED, button_settings, create_row

# Figures are numbers, and shown as numbers.
FIGURES = (Snapshot, SubmissionHour)
# No page reads these models.
NOT_SHOWN = (AttributionToken, CallRate, Checkpoint, QueuedAction)
MODELS = [
    model
    for model in apps.get_app_config("django_button_orders").get_models()
    if model not in (*FIGURES, *NOT_SHOWN)
]
TEXTS = (models.CharField, models.TextField, models.JSONField)
COLUMNS = [
    field
    for model in MODELS
    # No page shows this field.
    if model is not Checkpoint
    for field in model._meta.concrete_fields
    if isinstance(field, TEXTS)
]
# Ends an attribute, a text area and a script, and adds elements.
MARKUP = "\"'></textarea></script><script>alert(1)</script><img src=x onerror=a>"
HARMLESS = re.sub(r"[^a-z0-9 ]", "~", MARKUP)
PAUSED = "admin:django_button_orders_pausedaccount"
DIFFERENCE = "admin:django_button_orders_difference"
TWO_ACCOUNTS = button_settings(ACCOUNTS={"eu": {"API_KEY": "sk-eu"}})


class Skeleton(HTMLParser):
    """Collect a page's elements and the names of their attributes, without texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, *sorted(name for name, _ in attrs)))
        for name, value in attrs:
            self.texts.append(value or "")
            if name in ("href", "src", "action", "formaction", "data", "xlink:href"):
                self.addresses.append(value or "")

    def handle_data(self, data):
        self.texts.append(data)


def name_of(field):
    return f"{field.model.__name__}.{field.name}"


def value_for(field, text):
    """Return a hostile text, with the name of its column if that fits."""
    value = f"{name_of(field)} {text}"
    if isinstance(field, models.JSONField):
        if field.name == "values":
            return json.dumps({value: [value, value]})
        items = {"id": value, value: value}
        return json.dumps([items] if field.name == "line_items" else items)
    if has_room(field):
        return value
    # The shortest element. No page of the admin has it.
    return "abc" if text == HARMLESS else "<q>"


def has_room(field):
    return field.max_length is None or field.max_length >= 100


def write(instance, values):
    """Write into the columns of a row by SQL, past all validation."""
    named = connection.ops.quote_name
    assignments = ", ".join(f"{named(field.column)} = %s" for field in values)
    table = named(instance._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            # The SQL has only names from the models.
            f"UPDATE {table} SET {assignments} WHERE id = %s",  # noqa: S608
            [*values.values(), instance.pk],
        )


@override_settings(BUTTON_ORDERS=TWO_ACCOUNTS)
class HtmlTestCase(AdminTestCase):
    """Compare each page with harmless texts in the database and with hostile ones."""

    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        cls.clerk = create_user(name="clerk")
        cls.paused = PausedAccount.objects.create(account="eu", probe_at=PURCHASED)
        cls.submission = Submission.objects.create(
            button_order=cls.row,
            user=cls.clerk,
            revision=1,
            started_at=PURCHASED,
            duration_ms=1,
        )
        cls.difference = Difference.objects.create(order_id="1994")
        for instance in (cls.row, cls.paused):
            LogEntry.objects.create(
                user=cls.user,
                content_type=ContentType.objects.get_for_model(type(instance)),
                object_id=instance.pk,
                action_flag=2,
            )
        cls.urls = {
            "list": LIST_URL,
            "page": page_url(cls.row),
            "history": page_url(cls.row, "history"),
            "accounts": reverse(f"{PAUSED}_changelist"),
            "account": reverse(f"{PAUSED}_change", args=[cls.paused.pk]),
            "history of the account": reverse(
                f"{PAUSED}_history", args=[cls.paused.pk]
            ),
            "differences": reverse(f"{DIFFERENCE}_changelist"),
            "difference": reverse(f"{DIFFERENCE}_change", args=[cls.difference.pk]),
            "index": reverse("admin:index"),
            "app": reverse("admin:app_list", args=["django_button_orders"]),
        }

    def plant(self, text, *, without=("status",), **values):
        """Write a text into every text column, and other values into some columns."""
        for instance in self.planted():
            write(
                instance,
                {
                    field: value_for(field, text)
                    for field in COLUMNS
                    if field.model is type(instance) and field.name not in without
                },
            )
        LogEntry.objects.update(object_repr=text, change_message=text)
        User.objects.filter(pk=self.clerk.pk).update(username=text)
        self.put(**values)

    def planted(self):
        return (self.row, self.submission, self.paused, self.difference)

    def skeleton(self, response):
        assert response.status_code == 200
        return Skeleton(response.content.decode())

    def fetch(self, url):
        return self.skeleton(self.client.get(url))

    def check(self, harmless, hostile):
        """Check that two pages have the same elements and no URL that is a script."""
        assert hostile.elements == harmless.elements
        assert not any(map(is_script, hostile.addresses))

    def compare(self, url, **options):
        """Return the columns whose hostile text the page shows."""
        self.plant(HARMLESS, **options)
        harmless = self.fetch(url)
        self.plant(MARKUP, **options)
        hostile = self.fetch(url)

        self.check(harmless, hostile)
        texts = "\n".join(hostile.texts)
        return {name_of(field) for field in COLUMNS if name_of(field) in texts}


def is_script(address):
    plain = "".join(address.split()).lower()
    return plain.startswith(("javascript:", "data:", "vbscript:"))


VALID = {
    "account": "default",
    "order_id": "1994",
    "currency": "USD",
    "total": 7000,
    "purchase_date": PURCHASED,
    "btn_ref": "",
    "customer_order_id": "",
    "customer": None,
    # It is sorted behind both of the texts.
    "line_items": [{"identifier": "~" * 20, "total": 1}],
    "partner_order_channel": "",
    "finalization_date": None,
    "source_id": None,
    "site": "",
    "cancel_requested_at": None,
}


class StoredTextTests(HtmlTestCase):
    def test_the_others_have_no_page(self):
        for model in (*FIGURES, *NOT_SHOWN):
            assert not admin.site.is_registered(model)

    def test_every_page(self):
        shown = set()
        for name, url in self.urls.items():
            with self.subTest(name=name):
                shown |= self.compare(url)

        # A page that does not show the texts would prove nothing.
        assert shown == {name_of(field) for field in COLUMNS if has_room(field)}

    def test_form(self):
        """The form of an editable order shows the texts in its fields."""
        without = ["status", "source_id"]

        shown = self.compare(self.urls["page"], without=without)

        assert "ButtonOrder.customer" in shown
        assert "ButtonOrder.btn_ref" in shown

    def test_every_standing(self):
        states = [("failed", reason) for reason in ButtonOrder.Reason]
        states += [(status, "") for status in ButtonOrder.Status]
        for status, reason in states:
            with self.subTest(status=status, reason=reason):
                self.compare(self.urls["page"], status=status, reason=reason)

    def test_every_source(self):
        for model in (Order, Page, None):
            kind = model and ContentType.objects.get_for_model(model)
            with self.subTest(model=model):
                shown = self.compare(self.urls["page"], source_type=kind)

                assert "ButtonOrder.source_id" in shown

    def test_status(self):
        # It is not pending any more, so it has no next attempt.
        self.put(next_attempt_at=None)
        status = ButtonOrder._meta.get_field("status")
        write(self.row, {status: "abc"})
        harmless = self.fetch(LIST_URL)
        write(self.row, {status: "<q>"})

        self.check(harmless, self.fetch(LIST_URL))

    def test_last_answer(self):
        """The list shows the status code and the error of an answer together."""
        self.compare(LIST_URL, last_status_code=422)

    def test_every_status_of_the_panel(self):
        for status in ButtonOrder.Status:
            with self.subTest(status=status):
                shown = self.compare(LIST_URL, status=status)

                assert "PausedAccount.last_error" in shown

    def test_every_filter(self):
        filters = [
            "status__exact=pending",
            "reason__exact=",
            "state=due",
            "account=eu",
            "o=1.2.-3",
            "_popup=1",
            "_to_field=id",
        ]
        for query in filters:
            with self.subTest(query=query):
                self.compare(f"{LIST_URL}?{query}")

    def test_bodies_that_are_no_json(self):
        bodies = ("{body}", '["{body}"', '{{"a": "{body}"}}', "{body}" + " " * 30_000)
        for template in bodies:
            pages = []
            for text in (HARMLESS, MARKUP):
                self.plant(HARMLESS)
                body = template.format(body=text.replace('"', "'"))
                Submission.objects.update(request_body=body, response_body=body)
                pages.append(self.fetch(self.urls["page"]))

            with self.subTest(template=template[:20]):
                self.check(*pages)
                assert "<script>alert(1)</script>" in "".join(pages[1].texts)

    def test_view_of_button(self):
        pages = []
        for text in (HARMLESS, MARKUP):
            # Only a valid report is compared with what Button shows.
            self.plant(HARMLESS, **VALID)
            lines = [{"identifier": text, text: text}]
            order = {"order_id": text, text: text, "line_items": lines}
            Submission.objects.update(
                operation="retrieve",
                outcome="succeeded",
                status_code=200,
                response_body=json.dumps({"object": order}),
            )
            pages.append(self.fetch(self.urls["page"]))

        self.check(*pages)
        table = "".join(pages[1].texts).partition("What differs")[2]
        assert table.count("<script>alert(1)</script>") >= 3

    def test_what_was_acknowledged(self):
        pages = []
        for text in (HARMLESS, MARKUP):
            self.put(reported_revision=1)
            Submission.objects.update(
                operation="create",
                outcome="succeeded",
                request_body=json.dumps({text: text}),
            )
            pages.append(self.fetch(self.urls["page"]))

        self.check(*pages)
        section = "".join(pages[1].texts).partition("Next call to Button")[2]
        assert "<script>alert(1)</script>" in section.partition("Calls to Button")[0]

    def test_check_of_the_adapter(self):
        """The page shows order IDs of the shop, also those that have no row."""
        url = reverse("admin:django_button_orders_buttonorder_check_adapter")
        pages = []
        for number in (HARMLESS, MARKUP):
            order = Order.objects.create(number=number, trouble="build")
            pages.append(self.fetch(url))
            ButtonOrder.objects.filter(order_id=number).delete()
            pages.append(self.fetch(url))
            order.delete()

        self.check(pages[0], pages[2])
        self.check(pages[1], pages[3])
        for page in pages[2:]:
            assert MARKUP in "".join(page.texts)

    def test_page_of_deleting(self):
        self.plant(MARKUP)

        response = self.client.get(page_url(self.row, "delete"))

        assert response.status_code == 403
        assert b"alert(1)" not in response.content


class AddressTests(HtmlTestCase):
    def test_scripts(self):
        scripts = ("javascript:alert(1)", " JaVa\tScript:a", "data:text/html,a")
        for text in scripts:
            for instance in self.planted():
                write(
                    instance,
                    {
                        field: json.dumps({"id": [text, text]})
                        if isinstance(field, models.JSONField)
                        else text
                        for field in COLUMNS
                        if field.model is type(instance) and has_room(field)
                    },
                )
            for name, url in self.urls.items():
                with self.subTest(text=text, name=name):
                    page = self.fetch(url)

                    assert not any(map(is_script, page.addresses))


class ReflectedTextTests(HtmlTestCase):
    def reflected(self, url, name):
        """Return the page for a harmless and for a hostile value of a parameter."""
        return [
            self.skeleton(self.client.get(url, {name: value}, follow=True))
            for value in (HARMLESS, MARKUP)
        ]

    def test_list(self):
        names = ("q", "account", "state", "status__exact", "o", "p", "e", "next", "<q>")
        for name in names:
            with self.subTest(name=name):
                self.check(*self.reflected(LIST_URL, name))

    def test_page(self):
        for name in ("_changelist_filters", "_popup", "next"):
            for url in (self.urls["page"], ADD_URL):
                with self.subTest(name=name, url=url):
                    self.check(*self.reflected(url, name))

    def test_names_of_accounts(self):
        for url in (LIST_URL, ADD_URL):
            pages = []
            for name in (HARMLESS, MARKUP):
                accounts = button_settings(ACCOUNTS={name: {}})
                with override_settings(BUTTON_ORDERS=accounts):
                    pages.append(self.fetch(url))

            with self.subTest(url=url):
                self.check(*pages)
                assert MARKUP in "".join(pages[1].texts)


class MessageTests(HtmlTestCase):
    """The messages that name an order after an action."""

    def said(self, order_id, do):
        """Run an action on an order with a hostile ID, and return the page after it."""
        self.row.delete()
        self.row = create_row(order_id=order_id)
        return self.skeleton(do(order_id))

    def compare_said(self, do):
        harmless, hostile = (self.said(text, do) for text in (HARMLESS, MARKUP))

        self.check(harmless, hostile)
        assert MARKUP in "".join(hostile.texts)

    def test_added(self):
        for name in ("_save", "_continue", "_addanother", "_popup"):

            def add(order_id, name=name):
                data = order_data(order_id=f"new {order_id}", **{name: "1"})
                response = self.client.post(ADD_URL, data, follow=True)
                assert ButtonOrder.objects.filter(order_id=f"new {order_id}").delete()
                return response

            with self.subTest(name=name):
                self.compare_said(add)

    def test_changed(self):
        for name in ("_save", "_continue"):

            def change(order_id, name=name):
                data = order_data(total="1", **{name: "1"})
                return self.client.post(page_url(self.row), data, follow=True)

            with self.subTest(name=name):
                self.compare_said(change)

    def test_verbs(self):
        for verb in ("retry", "dismiss", "cancel"):

            def press(order_id, verb=verb):
                self.put(status="failed")
                return self.client.post(page_url(self.row, verb), follow=True)

            def act(order_id, verb=verb):
                self.put(status="failed")
                data = {"action": f"{verb}_orders", "_selected_action": self.row.pk}
                return self.client.post(LIST_URL, data, follow=True)

            def confirm(order_id, verb=verb, act=act):
                data = {"selection": signed_in(act(order_id)), "note": order_id}
                return self.client.post(many_url(verb), data, follow=True)

            with self.subTest(verb=verb):
                self.compare_said(press)
                self.check(*(self.said(text, act) for text in (HARMLESS, MARKUP)))
                self.compare_said(confirm)

    def test_page_that_is_not_there(self):
        def ask(order_id):
            url = reverse("admin:django_button_orders_buttonorder_change", args=["x"])
            return self.client.get(url.replace("x", quote(order_id)), follow=True)

        self.compare_said(ask)

    def test_errors_of_the_form(self):
        names = set(order_data()) | {"account"}
        pages = [
            self.skeleton(self.client.post(ADD_URL, dict.fromkeys(names, text)))
            for text in (HARMLESS, MARKUP)
        ]

        self.check(*pages)
        assert MARKUP in "".join(pages[1].texts)

    def test_errors_about_keys(self):
        pages = []
        for text in (HARMLESS, MARKUP):
            items = {"identifier": "a", "total": 1, text: 1, "attributes": {text: 1}}
            data = order_data(
                customer=json.dumps({text: text}), line_items=json.dumps([items])
            )
            pages.append(self.skeleton(self.client.post(ADD_URL, data)))

        self.check(*pages)
        assert f"Unknown keys: {MARKUP}" in "".join(pages[1].texts)
