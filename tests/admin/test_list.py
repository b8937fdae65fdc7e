from __future__ import annotations

from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_button_orders.models import ButtonOrder
from django_button_orders.querysets import from_now
from tests.admin.utils import LIST_URL, AdminTestCase, text_of
from tests.utils import button_settings, create_row

TWO_ACCOUNTS = button_settings(ACCOUNTS={"eu": {"API_KEY": "sk-eu"}})


class ListTests(AdminTestCase):
    def text(self, query=""):
        return text_of(self.client.get(f"{LIST_URL}{query}"))

    def test_newest_first(self):
        create_row(order_id="1995")

        assert self.list() == ["1995", "1994"]

    def test_columns(self):
        self.put(status="failed", reason="refused", attempts=3, last_status_code=422)

        assert "Failed Button refused it 1994 70.00 USD 3 " in self.text()
        assert " 422 " in self.text()

    def test_last_error(self):
        self.put(last_error=f"The connection {'x' * 100}")

        assert f"The connection {'x' * 44}…" in self.text()

    def test_amounts(self):
        amounts = {
            (7000, "JPY"): "7000 JPY",
            (7000, "KWD"): "7.000 KWD",
            (7000, "XXX"): "7000 XXX",
            (7000, None): "7000 ?",
            (None, "USD"): "1994 - 0",
        }
        for (total, currency), text in amounts.items():
            with self.subTest(text=text):
                self.put(total=total, currency=currency)

                assert text in self.text()

    def test_status_is_text(self):
        for status in ButtonOrder.Status:
            with self.subTest(status=status):
                self.put(status=status)

                assert f" {status.label} 1994 " in self.text()

    @override_settings(BUTTON_ORDERS=TWO_ACCOUNTS)
    def test_account_where_there_are_several(self):
        create_row(order_id="1995", account="eu")

        assert " eu " in self.text()
        assert "By account" in self.text()

    def test_no_account_where_there_is_one(self):
        assert "ccount" not in self.text().partition("Action:")[2]

    def test_queries_do_not_grow(self):
        create_row(order_id="eu", account="eu")
        with CaptureQueriesContext(connection) as one:
            self.list()
        for number in range(20):
            create_row(order_id=f"{number}", account="eu")

        with self.assertNumQueries(len(one)):
            self.list()

    def test_no_count_of_the_whole_table(self):
        with CaptureQueriesContext(connection) as queries:
            self.list("?status__exact=failed")

        # As the list and its pages count; the panel has its own way.
        counts = [
            query for query in queries.captured_queries if "__count" in query["sql"]
        ]
        assert len(counts) == 1

    def test_hostile_order_id(self):
        create_row(order_id="<script>alert(1)</script>")

        response = self.client.get(LIST_URL)

        assert b"<script>alert" not in response.content
        assert b"&lt;script&gt;alert(1)" in response.content


class SearchTests(AdminTestCase):
    def test_each_field(self):
        fields = ("order_id", "customer_order_id", "btn_ref", "button_order_id")
        for name in fields:
            with self.subTest(name=name):
                row = create_row(**{"order_id": f"of {name}", name: f"by-{name}"})

                assert self.list(f"?q=by-{name}") == [row.order_id]

    def test_part_of_an_id(self):
        assert self.list("?q=199") == []

    def test_strange_ids(self):
        for order_id in ("2026/11 #42", 'a "b" c', "a\\b", "it's", "%"):
            with self.subTest(order_id=order_id):
                create_row(order_id=order_id)

                response = self.client.get(LIST_URL, {"q": order_id})

                assert [row.order_id for row in response.context["cl"].queryset] == [
                    order_id
                ]

    def test_quoted(self):
        create_row(order_id="2026/11 #42")

        assert self.list("?q=%222026/11+%2342%22") == ["2026/11 #42"]

    def test_blank(self):
        assert self.list("?q=+") == ["1994"]


class FilterTests(AdminTestCase):
    def test_status_and_reason(self):
        self.put(status="failed", reason="refused")

        assert self.list("?status__exact=failed") == ["1994"]
        assert self.list("?status__exact=pending") == []
        assert self.list("?reason__exact=refused") == ["1994"]
        assert self.list("?reason__exact=invalid") == []

    def test_state(self):
        states = {
            "due": {},
            "waiting": {"next_attempt_at": from_now(60)},
            "in_flight": {"lease_expires_at": from_now(60)},
        }
        for state, values in states.items():
            self.put(**values)
            for name in states:
                with self.subTest(state=state, name=name):
                    assert bool(self.list(f"?state={name}")) == (name == state)

    def test_unknown_state(self):
        assert self.list("?state=asleep") == ["1994"]

    @override_settings(BUTTON_ORDERS=TWO_ACCOUNTS)
    def test_account(self):
        create_row(account="eu", order_id="1995")

        assert self.list("?account=eu") == ["1995"]
        assert self.list("?account=default") == ["1994"]
        assert len(self.list()) == 2


class ListPermissionTests(AdminTestCase):
    def test_view(self):
        self.log_in("view_buttonorder")

        assert self.list() == ["1994"]
        assert "Action:" not in text_of(self.client.get(LIST_URL))

    def test_none(self):
        self.log_in()

        assert self.client.get(LIST_URL).status_code == 403

    def test_anonymous(self):
        self.client.logout()

        assert self.client.get(LIST_URL).status_code == 302
