from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from django_button_orders.models import ButtonOrder, Submission
from tests.admin.utils import (
    AdminTestCase,
    create_submission,
    create_user,
    page_url,
    text_of,
)
from tests.shop.models import Order, Page
from tests.utils import LONG_AGO, PURCHASED

HOSTILE = "<script>alert(1)</script>"
rows = ButtonOrder.objects


def sql_of(queries):
    return [query["sql"] for query in queries]


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
        assert f'<a href="{self.url}">order {self.order.pk}</a>' in self.html()

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


class HistoryTests(AdminTestCase):
    def test_nothing_sent(self):
        assert "Nothing was sent yet." in self.page()

    def test_facts(self):
        create_submission(
            self.row,
            user=self.user,
            trigger="admin",
            status_code=422,
            error="No.",
            outcome="failed",
        )

        page = self.page()

        assert (
            "Create: Failed (422) 2026-11-01 06:00:00 · 120 ms · Admin · root" in page
        )
        assert "POST https://button.test/v1/order → 422 No." in page

    def test_pretty_json(self):
        create_submission(self.row, request_body='{"a":{"b":"é"}}', response_body="")

        html = self.client.get(page_url(self.row)).content.decode()

        assert "{\n  &quot;a&quot;: {\n    &quot;b&quot;: &quot;é&quot;" in html
        assert "<summary>Request</summary>" in html
        assert "<summary>Response</summary>" not in html

    def test_not_json(self):
        for body in ("<html>502</html>", "{", "[" * 9000, "1" * 9000, "x" * 30_000):
            with self.subTest(body=body[:20]):
                create_submission(self.row, response_body=body)

                assert body in self.page()

    def test_much_too_long(self):
        create_submission(self.row, response_body="x" * 200_000)

        assert f"{'x' * 100_000} …" in self.page()
        assert "x" * 100_001 not in self.page()

    def test_newest_first_and_bounded(self):
        for number in range(52):
            started = PURCHASED + timedelta(days=number)
            create_submission(self.row, error=f"#{number}.", started_at=started)

        page = self.page()

        assert page.index("#51.") < page.index("#2.")
        assert "#1." not in page

    def test_pages(self):
        for number in range(101):
            create_submission(self.row, error=f"#{number}.")
        pages = {
            "": ({"Older"}, "#100.", "#51."),
            "?submissions=1": ({"Older", "Newer"}, "#50.", "#1."),
            "?submissions=2": ({"Newer"}, "#0.", "#0."),
            "?submissions=3": ({"Newer"}, "There are no older", "There are no older"),
            "?submissions=-1": ({"Older"}, "#100.", "#51."),
            "?submissions=9999999": ({"Older"}, "#100.", "#51."),
        }
        for query, (links, first, last) in pages.items():
            with self.subTest(query=query):
                response = self.client.get(f"{page_url(self.row)}{query}")
                html = response.content.decode()

                assert links == {
                    name for name in ("Older", "Newer") if f">{name} subm" in html
                }
                assert first in html
                assert last in html
                assert html.count("<h3>") <= 50

    def test_nothing_is_counted(self):
        create_submission(self.row)

        with CaptureQueriesContext(connection) as queries:
            self.page()

        assert not [sql for sql in sql_of(queries) if "COUNT(" in sql.upper()]

    def test_queries_do_not_grow(self):
        create_submission(self.row, user=self.user)
        self.page()
        with CaptureQueriesContext(connection) as queries:
            self.page()
        for number in range(20):
            create_submission(self.row, user=create_user(name=f"user {number}"))

        with self.assertNumQueries(len(queries)):
            self.page()

    def test_pruned(self):
        sentence = "The bodies were pruned: they are kept for 30 days."
        now = timezone.now()
        cases = [
            # Of a create there always was one.
            ({"method": "POST", "started_at": now}, True),
            ({"method": "POST", "request_body": "{}"}, False),
            ({"method": "DELETE", "status_code": 200}, True),
            ({"method": "DELETE", "status_code": 204, "started_at": now}, False),
            ({"method": "GET"}, False),
        ]
        for values, expected in cases:
            with self.subTest(**values):
                Submission.objects.all().delete()
                create_submission(self.row, **{"started_at": LONG_AGO, **values})

                assert (sentence in self.page()) is expected

    @override_settings(USE_TZ=False)
    def test_pruned_without_time_zones(self):
        create_submission(
            self.row, method="GET", status_code=200, started_at=datetime(2020, 1, 1)
        )

        assert "The bodies were pruned" in self.page()


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

    def test_forbidden(self):
        self.log_in()

        assert self.client.get(page_url(self.row)).status_code == 403

    def test_anonymous(self):
        self.client.logout()

        assert self.client.get(page_url(self.row)).status_code == 302

    def test_incomplete(self):
        self.put(total=None, currency=None, purchase_date=None, btn_ref=None)
        self.log_in("view_buttonorder")

        assert "Total: -" in self.page()

    def test_pretty_fields(self):
        self.log_in("view_buttonorder")
        self.put(line_items=[{"identifier": "a"}])

        response = self.client.get(page_url(self.row))

        assert "[\n  {\n    &quot;identifier&quot;: &quot;a&quot;" in (
            response.content.decode()
        )

    def test_history_of_the_admin(self):
        response = self.client.get(page_url(self.row, "history"))

        assert response.status_code == 200

    def test_no_deleting(self):
        response = self.client.post(page_url(self.row, "delete"), {"post": "yes"})

        assert response.status_code == 403
        assert rows.exists()
        assert "Delete" not in text_of(self.client.get(page_url(self.row)))
