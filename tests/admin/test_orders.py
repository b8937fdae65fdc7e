from __future__ import annotations

import re
from uuid import uuid4

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models.signals import pre_save
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_button_orders.models import ButtonOrder
from tests.admin.utils import (
    ADD_URL,
    LIST_URL,
    AdminTestCase,
    create_submission,
    page_url,
    text_of,
)
from tests.shop.models import Customer, Order, Page
from tests.utils import PURCHASED, button_settings, create_row

LINES = [{"identifier": f"line {number}", "total": 1} for number in range(200)]
HOSTILE = "<script>alert(1)</script>"
rows = ButtonOrder.objects


class SourceTests(AdminTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        cls.order = Order.objects.create(number="42")
        cls.row = rows.get(order_id="42")
        cls.url = reverse("admin:shop_order_change", args=[cls.order.pk])

    def html(self):
        response = self.client.get(page_url(self.row))
        assert response.status_code == 200
        return response.content.decode()

    def test_link(self):
        name = f"Order object ({self.order.pk})"
        assert f'<a href="{self.url}"><bdi>{name}</bdi></a>' in self.html()

    def name_orders(self, name):
        """Let the shop name its orders by a function, for this test."""
        self.addCleanup(delattr, Order, "__str__")
        Order.__str__ = name

    def test_own_name(self):
        self.name_orders(
            lambda order: f"Order\n {order.number}, <b>Ada</b> " + "x" * 99
        )

        assert f'<a href="{self.url}"><bdi>Order 42, &lt;b&gt;Ada&lt;/b&gt; xxx' in (
            self.html()
        )
        assert "x" * 80 not in self.html()

    def test_own_name_is_not_for_everybody(self):
        self.name_orders(lambda order: "By Ada")
        self.log_in("view_buttonorder")

        assert "By Ada" not in self.html()

    def test_no_own_name(self):
        def query(order):
            with connection.cursor() as cursor:
                cursor.execute("SELECT * FROM nowhere")

        names = {
            "raises": lambda order: 1 // 0,
            "no text": lambda order: None,
            "empty": lambda order: " ",
            "query": query,
        }
        for why, name in names.items():
            with self.subTest(why=why):
                self.name_orders(name)

                assert f"<bdi>order {self.order.pk}</bdi>" in self.html()
                self.doCleanups()

    def test_lone_surrogate(self):
        self.name_orders(lambda order: "No. \ud800")

        assert "<bdi>No. ?</bdi>" in self.html()

    def test_list_asks_for_no_names(self):
        """They may cost a query each."""
        self.name_orders(lambda order: f"By {Customer.objects.count()}")

        html = self.client.get(LIST_URL).content.decode()

        assert f"<bdi>order {self.order.pk}</bdi>" in html

    def test_no_permission_there(self):
        self.log_in("view_buttonorder")

        assert f'href="{self.url}"' not in self.html()
        assert f"order {self.order.pk}" in self.html()

    def test_permission_there(self):
        self.log_in("view_buttonorder", "view_order")

        assert f'href="{self.url}"' in self.html()

    def test_deleted(self):
        Order.objects.all().delete()

        assert f'href="{self.url}"' not in self.html()

    def test_not_in_the_admin(self):
        self.put(source_type=ContentType.objects.get_for_model(Page), source_id="7")

        assert "page 7" in self.html()

    def test_key_of_another_kind(self):
        self.put(source_id="<b>7</b>")

        assert "order &lt;b&gt;7&lt;/b&gt;" in self.html()

    def test_model_is_gone(self):
        gone = ContentType.objects.create(app_label="shop", model="gone")
        for pk in (gone.pk, 9999, None):
            with self.subTest(pk=pk):
                self.put(source_type_id=pk)

                assert f"The shop's order: {self.order.pk}" in self.page()


class SectionsTests(AdminTestCase):
    TITLES = (
        "Current state",
        "Calls to Button",
        "What is reported",
        "Reporting",
        "Comparison with Button",
        "Next call to Button",
        "Why it earned a commission, or not",
        "Internals",
    )

    def titles(self):
        html = self.client.get(page_url(self.row)).content.decode()
        found = re.findall(r"<h2[^>]*>([^<]*)</h2>", html)
        return [title for title in found if title in self.TITLES]

    def test_order(self):
        for source_id in (None, "7"):
            with self.subTest(source_id=source_id):
                self.put(source_id=source_id)

                assert self.titles() == list(self.TITLES)

    def test_without_the_permission_to_view_bodies(self):
        self.log_in("view_buttonorder")

        assert self.titles() == [*self.TITLES[:4], *self.TITLES[6:]]
        assert "You do not have permission to view calls and answers" in self.page()

    def test_empty_fields_are_left_out(self):
        self.put(total=None, currency=None, purchase_date=None, btn_ref="")
        self.log_in("view_buttonorder")

        page = self.page()

        assert "Order ID:" in page
        for label in ("Total", "Purchase date", "Attribution token", "Channel"):
            assert f"{label}:" not in page
        # These are of the outbox and of the internals.
        for label in ("Reason", "Last error", "Late amount", "Lease token", "Erased"):
            assert f"{label}:" not in page
        # Zero is not empty.
        assert "Attempts:" in page
        assert "Unanswered attempts:" in page

    def test_form_has_its_empty_fields(self):
        self.put(btn_ref="", customer=None)

        html = self.client.get(page_url(self.row)).content.decode()

        for name in ("btn_ref", "customer", "line_items", "partner_order_channel"):
            assert f'name="{name}"' in html

    def test_internals_are_folded(self):
        html = self.client.get(page_url(self.row)).content.decode()

        below_the_form = html[html.index("Why it earned") :]
        assert re.search(r"<details><summary>\s*<h2[^>]*>Internals<", below_the_form)
        assert "Revision:" in self.page()

    def test_popup(self):
        html = self.client.get(f"{page_url(self.row)}?_popup=1").content.decode()

        assert "Calls to Button" not in html
        assert "Internals" not in html

    def test_queries_do_not_grow(self):
        self.put(line_items=LINES[:1])
        self.page()
        with CaptureQueriesContext(connection) as queries:
            self.page()
        self.put(line_items=LINES)
        for _ in range(20):
            create_submission(self.row, user=self.user)
        # The users of calls are one query, however many they are.
        with self.assertNumQueries(len(queries) + 1):
            self.page()


class HostileTests(AdminTestCase):
    def test_stored_text_stays_text(self):
        self.put(
            order_id=HOSTILE,
            status="failed",
            last_error=HOSTILE,
            customer={"id": HOSTILE},
            btn_ref=HOSTILE,
            source_id=HOSTILE,
        )
        create_submission(
            self.row,
            url=HOSTILE,
            error=HOSTILE,
            request_body=f'{{"a": "{HOSTILE}"}}',
            response_body=HOSTILE,
        )
        for codename in ("view_buttonorder", "change_buttonorder"):
            self.log_in(codename, "view_bodies_submission", name=codename)
            for source_id in (HOSTILE, None):
                with self.subTest(codename=codename, source_id=source_id):
                    self.put(source_id=source_id)

                    response = self.client.get(page_url(self.row))

                    assert b"<script>alert" not in response.content
                    assert response.content.count(b"&lt;script&gt;alert(1)") >= 8


class PageTests(AdminTestCase):
    def test_view_only(self):
        self.log_in("view_buttonorder")

        page = self.page()

        assert "View Button order" in page
        assert "Total: 70.00 USD" in page

    def test_digest_only_with_the_permission_to_view_customers(self):
        """Half of it is a hash of the customer, so it would confirm a guess."""
        digest = self.row.desired_digest()
        self.put(reported_revision=1, reported_digest=digest)
        assert digest in self.page()

        for codename in ("view_buttonorder", "change_buttonorder"):
            self.log_in(codename, name=codename)
            with self.subTest(codename=codename):
                assert digest[32:] not in self.page()

    def test_forbidden(self):
        self.log_in()

        assert self.client.get(page_url(self.row)).status_code == 403

    def test_anonymous(self):
        self.client.logout()

        assert self.client.get(page_url(self.row)).status_code == 302

    def test_history_of_the_admin(self):
        response = self.client.get(page_url(self.row, "history"))

        assert response.status_code == 200

    def test_no_deleting(self):
        response = self.client.post(page_url(self.row, "delete"), {"post": "yes"})

        assert response.status_code == 403
        assert rows.exists()
        assert "Delete" not in text_of(self.client.get(page_url(self.row)))


def order_data(**values):
    return {
        "order_id": "1995",
        "total": "7000",
        "currency": "USD",
        "purchase_date_0": "2026-11-01",
        "purchase_date_1": "06:00:00",
        "btn_ref": "srctok-1",
        "customer_order_id": "",
        "customer": "",
        "line_items": "",
        "partner_order_channel": "",
        "finalization_date_0": "",
        "finalization_date_1": "",
        **values,
    }


class FormTestCase(AdminTestCase):
    def post(self, url, **values):
        return self.client.post(url, order_data(**values))

    def errors(self, url, **values):
        """Return the form's errors by field."""
        response = self.post(url, **values)
        assert response.status_code == 200
        return response.context["adminform"].form.errors


class AddTests(FormTestCase):
    def test_page(self):
        assert self.client.get(ADD_URL).status_code == 200

    def test_add(self):
        response = self.post(
            ADD_URL, customer='{"id": "7"}', line_items='[{"identifier":"a","total":5}]'
        )

        assert response.status_code == 302
        row = rows.get(order_id="1995")
        assert (row.total, row.currency, row.account) == (7000, "USD", "default")
        assert row.purchase_date == PURCHASED
        assert row.customer == {"id": "7"}
        assert row.line_items == [{"identifier": "a", "total": 5}]
        assert rows.due().filter(pk=row.pk).exists()

    def test_permission(self):
        self.log_in("view_buttonorder", "add_buttonorder")

        assert self.post(ADD_URL).status_code == 302
        assert rows.filter(order_id="1995").exists()

    def test_no_permission(self):
        self.log_in("view_buttonorder", "change_buttonorder")

        assert self.client.get(ADD_URL).status_code == 403
        assert self.post(ADD_URL).status_code == 403

    def test_taken(self):
        errors = self.errors(ADD_URL, order_id="1994")

        assert "already exists" in str(errors["__all__"])

    @override_settings(BUTTON_ORDERS=button_settings(ACCOUNTS={"eu": {}}))
    def test_account(self):
        self.post(ADD_URL, order_id="1994", account="eu")

        assert rows.filter(order_id="1994", account="eu").exists()

    def test_unknown_account(self):
        assert set(self.errors(ADD_URL, account="eu")) == {"account"}

    def test_no_account(self):
        self.post(ADD_URL, account="")

        assert rows.get(order_id="1995").account == "default"

    def test_errors_at_their_fields(self):
        wrong = {
            "order_id": "..",
            "total": "-1",
            "currency": "usd",
            "purchase_date_0": "soon",
            "btn_ref": "a b",
            "customer": '{"email": "ada@example.com"}',
            "line_items": '[{"total": 1}]',
            "partner_order_channel": "fax",
            "finalization_date_0": "later",
        }

        errors = self.errors(ADD_URL, **wrong)

        assert set(errors) == {name.removesuffix("_0") for name in wrong}
        assert all(len(messages) == 1 for messages in errors.values())

    def test_error_is_next_to_its_field(self):
        response = self.post(ADD_URL, line_items='[{"total": 1}]')

        html = response.content.decode()
        row = html.partition("field-line_items")[2].partition("form-row")[0]
        assert "Line 1: identifier: This field is required." in row

    def test_required(self):
        for name in ("order_id", "total", "currency", "purchase_date_0"):
            with self.subTest(name=name):
                errors = self.errors(ADD_URL, **{name: ""})

                assert set(errors) == {name.removesuffix("_0")}
                assert len(errors[name.removesuffix("_0")]) == 1

    def test_not_json(self):
        for text in ("{", "[" * 100_000, "1" * 5000, "NaN", '{"id": "\\u0000"}'):
            with self.subTest(text=text[:20]):
                assert set(self.errors(ADD_URL, customer=text)) == {"customer"}

    def test_mass_assignment(self):
        self.post(ADD_URL, status="reported", revision="9", source_id="1", attempts="5")

        row = rows.get(order_id="1995")
        assert (row.status, row.revision, row.attempts) == ("pending", 1, 0)
        assert row.source_id is None


class ChangeTests(FormTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        rows.update(status="reported", next_attempt_at=None, reported_revision=1)
        cls.url = page_url(cls.row)

    def reload(self):
        self.row.refresh_from_db()
        return self.row

    def test_due_again(self):
        response = self.post(self.url, total="6000")

        assert response.status_code == 302
        row = self.reload()
        assert (row.total, row.status, row.revision) == (6000, "pending", 2)
        assert rows.due().exists()
        assert "Total" in LogEntry.objects.get().get_change_message()

    def test_nothing_changed(self):
        self.post(self.url)

        assert (self.reload().status, self.row.revision) == ("reported", 1)

    def test_only_what_was_changed_is_written(self):
        """A save does not overwrite a cancellation that came since the page loaded."""

        def cancel(**kwargs):
            rows.update(cancel_requested_at=PURCHASED)

        pre_save.connect(cancel, sender=ButtonOrder)
        self.addCleanup(pre_save.disconnect, cancel, sender=ButtonOrder)

        self.post(self.url, total="6000")

        assert self.reload().total == 6000
        assert self.row.cancel_requested_at == PURCHASED

    def test_order_id_stays(self):
        self.post(self.url, order_id="1995", account="eu", total="6000")

        assert (self.reload().order_id, self.row.account) == ("1994", "default")

    def test_mass_assignment(self):
        token = uuid4()
        rows.update(status="failed", reason="refused", lease_token=None)

        self.post(
            self.url,
            status="reported",
            reason="",
            revision="77",
            lease_token=str(token),
            reported_revision="77",
            source_id="1",
            cancel_requested_at="2026-11-01",
        )

        row = self.reload()
        assert (row.status, row.reason, row.revision) == ("failed", "refused", 1)
        assert (row.lease_token, row.source_id) == (None, None)
        assert (row.reported_revision, row.cancel_requested_at) == (1, None)

    def test_errors_at_their_fields(self):
        errors = self.errors(self.url, customer="[]", total="x")

        assert set(errors) == {"customer", "total"}
        assert self.reload().status == "reported"

    def test_error_of_a_field_that_is_not_there(self):
        rows.update(order_id="..")

        errors = self.errors(self.url)

        assert "order_id: Enter another ID" in str(errors["__all__"])

    def test_view_only(self):
        self.log_in("view_buttonorder")

        assert self.post(self.url, total="6000").status_code == 403
        assert self.reload().total == 7000

    def test_change_permission(self):
        self.log_in("change_buttonorder")

        assert self.post(self.url, total="6000").status_code == 302
        assert self.reload().total == 6000

    def test_order_of_the_shop_is_read_only(self):
        Order.objects.create(number="42")
        row = rows.get(order_id="42")

        response = self.client.get(page_url(row))

        assert b'name="total"' not in response.content
        assert b'name="_save"' not in response.content
        assert self.post(page_url(row), total="1").status_code == 403

    def test_cancelled_is_read_only(self):
        self.row.cancel()

        assert self.post(self.url, total="6000").status_code == 403

    def test_empty_json_is_empty(self):
        html = self.client.get(self.url).content.decode()

        assert "null</textarea>" not in html

    def test_json_is_indented(self):
        row = create_row(order_id="1995", customer={"id": "é"})

        html = self.client.get(page_url(row)).content.decode()

        assert "{\n  &quot;id&quot;: &quot;é&quot;\n}</textarea>" in html
