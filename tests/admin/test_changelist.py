from __future__ import annotations

import re
from datetime import datetime, timezone

from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import F
from django.test import RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse

from django_button_orders import hash_email
from django_button_orders.admin import ButtonOrderAdmin
from django_button_orders.admin.changelist import MAX_LISTED
from django_button_orders.models import ButtonOrder
from django_button_orders.models.clock import from_now
from django_button_orders.operations.erase import erase
from tests.admin.utils import (
    ADD_URL,
    LIST_URL,
    AdminTestCase,
    create_submission,
    text_of,
)
from tests.shop.models import Order, Page
from tests.utils import LONG_AGO, button_settings, create_row

TWO_ACCOUNTS = button_settings(ACCOUNTS={"eu": {"API_KEY": "sk-eu"}})


class ListTests(AdminTestCase):
    def text(self, query=""):
        return text_of(self.client.get(f"{LIST_URL}{query}"))

    def test_newest_first(self):
        create_row(order_id="1995")

        assert self.list() == ["1995", "1994"]

    def test_columns(self):
        self.put(status="failed", reason="refused", last_status_code=422)

        assert (
            "Failed Button refused it 1994 70.00 USD 11/01/2026 6 a.m. 422 - - "
        ) in self.text()

    def test_last_error(self):
        self.put(last_error=f"The connection {'x' * 100}")

        assert f"The connection {'x' * 44}…" in self.text()

        self.put(last_status_code=503)
        assert f" 503 The connection {'x' * 44}…" in self.text()

    def test_note_of_a_dismissed_order(self):
        """It does not look like what Button said."""
        self.put(status="failed", last_status_code=400, last_error="No category.")
        ButtonOrder.objects.dismiss("A test order.")
        assert " A test order. " in self.text()
        assert " 400 " not in self.text()

        self.put(last_error="")
        assert " 400 " in self.text()

    def test_error_that_quotes_a_customer(self):
        self.put(last_error="Adapter.build raised KeyError: jane@shop.test")
        assert "jane@" in text_of(self.client.get(LIST_URL))

        self.log_in("view_buttonorder")

        text = text_of(self.client.get(LIST_URL))
        assert "Adapter.build raised KeyError." in text
        assert "jane@" not in text

    def test_next_attempt(self):
        moments = {
            7260: " in 2 hours ",
            30: " in a moment ",
            -5: " due now ",
            -7260: " due for 2 hours ",
        }
        for seconds, text in moments.items():
            with self.subTest(text=text):
                self.put(next_attempt_at=from_now(seconds))

                assert text in self.text()

    def test_exact_moment_of_the_next_attempt(self):
        self.put(next_attempt_at=datetime(2099, 1, 2, 18, tzinfo=timezone.utc))

        html = self.client.get(LIST_URL).content.decode()

        assert (
            '<time datetime="2099-01-02T12:00:00-06:00" title="Jan. 2, 2099, noon">in '
        ) in html

    def test_running_now(self):
        self.put(lease_expires_at=from_now(60))

        assert " running now " in self.text()

    def test_order_of_another_site(self):
        self.put(site="live")

        assert "reported by the site live" in self.text()

    def test_no_next_attempt(self):
        self.put(status="failed")

        assert "Failed 1994 70.00 USD 11/01/2026 6 a.m. - - - " in self.text()

    def test_amounts(self):
        amounts = {
            (7000, "JPY"): "7000 JPY",
            (7000, "KWD"): "7.000 KWD",
            (7000, "XXX"): "7000 XXX",
            (7000, None): "7000 ?",
            (None, "USD"): "1994 - 11/01/2026",
        }
        for (total, currency), text in amounts.items():
            with self.subTest(text=text):
                self.put(total=total, currency=currency)

                assert text in self.text()

    def test_late_amount(self):
        self.put(status="closed", reason="finalized", late_amount=2000)
        assert "Closed Too late to change: 20.00 USD 1994 70.00 USD" in self.text()

        self.put(late_amount=0)
        assert "Closed Too late to change 1994" in self.text()
        self.put(status="failed", late_amount=2000)
        assert "Failed Too late to change 1994" in self.text()

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

    def test_no_counting(self):
        with CaptureQueriesContext(connection) as queries:
            self.list("?status__exact=failed")

        # The paginator counts like this. The panel counts by other queries.
        assert not any("__count" in query["sql"] for query in queries.captured_queries)

    def test_large_columns_are_not_read(self):
        with CaptureQueriesContext(connection) as queries:
            self.list()

        read = "".join(query["sql"] for query in queries.captured_queries)
        assert "last_error" in read
        assert "line_items" not in read
        assert '"customer"' not in read

    def test_hostile_order_id(self):
        create_row(order_id="<script>alert(1)</script>")

        response = self.client.get(LIST_URL)

        assert b"<script>alert" not in response.content
        assert b"&lt;script&gt;alert(1)" in response.content


@override_settings(BUTTON_ORDERS={**TWO_ACCOUNTS, "API_KEYS": "sk"})
class UnreadableSettingTests(AdminTestCase):
    """The pages open even if BUTTON_ORDERS is invalid."""

    def test_list(self):
        text = text_of(self.client.get(f"{LIST_URL}?account=eu"))

        assert "Nothing is sent, because BUTTON_ORDERS has an error" in text

    def test_page(self):
        create_submission(self.row, outcome="succeeded")
        self.put(reported_revision=1, reported_digest="0")

        assert "BUTTON_ORDERS has an unknown key 'API_KEYS'." in self.page()

    def test_form(self):
        assert self.client.get(ADD_URL).status_code == 200

    def test_export(self):
        url = reverse("admin:django_button_orders_buttonorder_export")

        assert b"1994" in self.client.get(url).getvalue()


class SearchTests(AdminTestCase):
    def test_each_field(self):
        fields = ("order_id", "customer_order_id", "btn_ref", "button_order_id")
        for name in fields:
            with self.subTest(name=name):
                row = create_row(**{"order_id": f"of {name}", name: f"by-{name}"})

                assert self.list(f"?q=by-{name}") == [row.order_id]

    def test_as_people_type_an_id(self):
        create_row(order_id="SHOP-7")
        create_row(order_id="Web-8a")
        create_row(order_id="#9", customer_order_id="Web-9b")
        for term, found in {
            "#1994": "1994",
            " 1994\u00a0": "1994",
            "# 1994": "1994",
            "shop-7": "SHOP-7",
            "#Shop-7": "SHOP-7",
            "WEB-8A": "Web-8a",
            "9": "#9",
            '" 1994 "': "1994",
            "web-9B": "#9",
        }.items():
            with self.subTest(term=term):
                assert self.find(term) == [found]

    def test_other_case_of_the_other_ids(self):
        self.put(btn_ref="srctok-x1", customer_order_id="C-7", button_order_id="btn-a")

        for term in ("SRCTOK-X1", "c-7", "#c-7", "BTN-A"):
            with self.subTest(term=term):
                assert self.find(term) == ["1994"]

    def test_ids_that_differ_only_in_case(self):
        create_row(order_id="ab")
        create_row(order_id="AB")

        assert self.find("ab") == ["AB", "ab"]

    def test_email_address(self):
        digest = hash_email("jane@shop.test")
        create_row(order_id="of Jane", customer={"email_sha256": digest})
        create_row(order_id="by hand", customer={"email_sha256": digest.upper()})
        create_row(order_id="of Joe", customer={"email_sha256": "0" * 64})

        for term in (
            "jane@shop.test",
            " Jane@Shop.test ",
            '"jane@shop.test"',
            digest,
            digest.upper(),
        ):
            with self.subTest(term=term):
                assert self.find(term) == ["by hand", "of Jane"]
        assert self.find("jim@shop.test") == []

    def test_nobody_tests_an_address_who_may_not_view_customers(self):
        digest = hash_email("jane@shop.test")
        self.put(customer={"email_sha256": digest})
        self.log_in("view_buttonorder")

        for term in ("jane@shop.test", digest):
            with (
                self.subTest(term=term),
                CaptureQueriesContext(connection) as queries,
            ):
                assert self.find(term) == []
                assert not any('email_sha256" >' in item["sql"] for item in queries)
        assert self.find("1994") == ["1994"]

    def test_address_of_an_erased_customer(self):
        digest = hash_email("jane@shop.test")
        self.put(customer={"email_sha256": digest})
        assert self.find("jane@shop.test") == ["1994"]

        erase(email="jane@shop.test", using="default")

        assert self.find("jane@shop.test") == []

    def test_customers_without_a_hash(self):
        for number, customer in enumerate(
            ({}, [], "text", {"email_sha256": None}, {"email_sha256": {"a": "b" * 99}})
        ):
            create_row(order_id=f"{number}")
            ButtonOrder.objects.filter(order_id=f"{number}").update(customer=customer)

        assert self.find("a" * 64) == self.find("null") == []

    def test_terms_that_nothing_has(self):
        for term in ("\0", "1994\0", "\x01\x7f", "x" * 10_000, "🛒", "#", "ß", "@"):
            with self.subTest(term=term[:10]):
                assert self.find(term) == []

    def find(self, term):
        response = self.client.get(LIST_URL, {"q": term})
        assert response.status_code == 200
        return [row.order_id for row in response.context["cl"].result_list]

    def test_words_that_no_order_has(self):
        create_row(order_id="-7")

        assert self.find("abc-7") == []

    def test_part_of_an_id(self):
        assert self.list("?q=199") == []

    def test_strange_ids(self):
        for order_id in (
            "2026/11 #42",
            'a "b" c',
            "a\\b",
            "it's",
            "%",
            '"7"',
            "x" * 255,
        ):
            with self.subTest(order_id=order_id):
                create_row(order_id=order_id)

                response = self.client.get(LIST_URL, {"q": order_id})

                assert [row.order_id for row in response.context["cl"].queryset] == [
                    order_id
                ]

    def test_quoted(self):
        create_row(order_id="2026/11 #42")

        assert self.list("?q=%222026/11+%2342%22") == ["2026/11 #42"]

    def test_nothing_but_quotes(self):
        assert self.list("?q=%22") == self.list("?q=%22%22") == []

    def test_token_of_an_order_without_a_date(self):
        create_row(order_id="1995", btn_ref="srctok-2", purchase_date=None)

        assert self.list("?q=srctok-2") == ["1995"]

    def test_with_a_filter(self):
        assert self.list("?q=1994&status__exact=pending") == ["1994"]
        assert self.list("?q=1994&status__exact=failed") == []

    def test_blank(self):
        assert self.list("?q=+") == ["1994"]


class PageTests(AdminTestCase):
    """The list pages through 1,000 orders, and says that there are more."""

    def setUp(self):
        super().setUp()
        ButtonOrder.objects.bulk_create(
            ButtonOrder(order_id=f"no {number}", currency="JPY")
            for number in range(MAX_LISTED)
        )

    def text(self, query=""):
        return text_of(self.client.get(f"{LIST_URL}{query}"))

    def test_more_than_that(self):
        text = self.text()

        assert "There are more than 1,000 results, and only the first 1,000" in text
        assert "More than 1,000 results" in text
        assert "The export contains all of them." in text
        assert "Select all matching orders, including those not listed" in text
        assert "1001" not in text

    def test_search_finds_the_newest(self):
        ButtonOrder.objects.update(btn_ref="srctok-2")
        create_row(order_id="Web-8a", btn_ref="srctok-2")

        assert self.list("?q=srctok-2")[:2] == ["Web-8a", f"no {MAX_LISTED - 1}"]
        # The newest orders show how the shop writes its IDs now.
        assert self.list("?q=WEB-8A") == ["Web-8a"]

    def test_just_that_many(self):
        text = self.text("?currency=JPY")

        assert " 1,000 Button orders " in text
        assert " 1,000 results " in text
        assert f"Select all {MAX_LISTED} Button orders" in text
        assert "More than" not in text

    def test_one(self):
        text = self.text("?currency=USD")

        assert " 1 Button order " in text
        assert " 1 result (Show all)" in text.replace("( ", "(").replace(" )", ")")

    def test_way_back_to_all(self):
        assert "Show all" not in self.text()

    def test_pages(self):
        last = f"?p={MAX_LISTED // 100}"

        assert self.list()[0] == f"no {MAX_LISTED - 1}"
        assert self.list("?p=2")[0] == f"no {MAX_LISTED - 101}"
        assert self.list(last)[-1] == "no 0"

    def test_no_page_after_that(self):
        response = self.client.get(f"{LIST_URL}?p={MAX_LISTED // 100 + 1}")

        assert response["Location"] == f"{LIST_URL}?e=1"

    def test_show_all(self):
        few = ButtonOrder.objects.order_by("pk").values_list("pk", flat=True)[:150]
        ButtonOrder.objects.filter(pk__in=list(few)).update(currency="EUR")

        assert len(self.list("?currency=EUR&all=")) == 150
        assert len(self.list("?currency=EUR&p=2")) == 50
        assert len(self.list("?all=")) == 100

    def test_as_many_statements_as_ever(self):
        with CaptureQueriesContext(connection) as few:
            self.list("?currency=USD")

        with self.assertNumQueries(len(few)):
            self.list("?currency=JPY&p=9")


class SortTests(AdminTestCase):
    """The list sorts as an index does, with the key in the same direction."""

    def setUp(self):
        super().setUp()
        self.put(purchase_date=None)
        for number in range(3):
            create_row(order_id=f"{2000 - number}")

    def test_newest_first(self):
        assert self.list() == ["1998", "1999", "2000", "1994"]

    def test_order_id(self):
        assert self.list("?o=2") == ["1994", "1998", "1999", "2000"]
        assert self.list("?o=-2") == ["2000", "1999", "1998", "1994"]

    def test_bought(self):
        ButtonOrder.objects.filter(order_id="1999").update(purchase_date=LONG_AGO)

        assert self.list("?o=4&bought_to=2026-12-01") == ["1999", "2000", "1998"]
        assert self.list("?o=-4&bought_to=2026-12-01") == ["1998", "2000", "1999"]

    def test_next_attempt_of_pending_orders(self):
        ButtonOrder.objects.filter(order_id="1999").update(next_attempt_at=LONG_AGO)

        assert self.list("?status__exact=pending&o=6")[0] == "1999"
        assert self.list("?state=due&o=6")[0] == "1999"
        # Most orders have no next attempt, so no index can sort all orders by it.
        assert self.list("?o=6") == self.list()

    def test_not_by_what_is_in_no_index(self):
        for column in (1, 3, 5, 7):
            with self.subTest(column=column):
                assert self.list(f"?o={column}") == self.list()

    def test_expression_of_an_admin_of_the_shop(self):
        class ByDate(ButtonOrderAdmin):
            ordering = [F("purchase_date").desc(nulls_last=True)]

        request = RequestFactory().get("/")
        request.user = self.user
        listed = ByDate(ButtonOrder, admin.site).get_changelist_instance(request)

        assert len(listed.result_list) == ButtonOrder.objects.count()

    def test_headings(self):
        for query, names in {
            "": {"order_id", "bought"},
            "?status__exact=pending": {"order_id", "bought", "next_attempt"},
        }.items():
            with self.subTest(query=query):
                html = self.client.get(f"{LIST_URL}{query}").content.decode()

                sortable = re.findall(r'class="sortable column-(\w+)', html)
                assert set(sortable) == names


class HostOrderTests(AdminTestCase):
    def setUp(self):
        super().setUp()
        self.put(source_type=None, source_id=None)
        self.order = Order.objects.create(number="2026/11 #42")
        self.url = reverse("admin:shop_order_change", args=[self.order.pk])

    def cell(self):
        html = self.client.get(LIST_URL).content.decode()
        cells = re.findall(
            r'<td class="field-host_order[^>]*"><[^>]+>(.*?)</span>', html
        )
        return cells[0]

    def test_link(self):
        name = f"<bdi>order {self.order.pk}</bdi>"
        assert self.cell() == f'<a href="{self.url}">{name}</a>'

    def test_no_right_to_view_it(self):
        self.log_in("view_buttonorder")

        assert self.cell() == f"order {self.order.pk}"

    def test_gone(self):
        Order.objects.filter(pk=self.order.pk).delete()

        assert self.cell() == f"order {self.order.pk}"

    def test_key_of_another_kind(self):
        ButtonOrder.objects.exclude(pk=self.row.pk).update(source_id="4711")

        assert self.cell() == "order 4711"

    def test_model_that_is_gone(self):
        kind = ContentType.objects.create(app_label="shop", model="gone")
        ButtonOrder.objects.exclude(pk=self.row.pk).update(source_type=kind)

        assert self.cell() == str(self.order.pk)

    def test_type_that_is_gone(self):
        for number in range(5):
            create_row(order_id=f"{number}", source_id="7", source_type_id=9999)

        with CaptureQueriesContext(connection) as queries:
            assert self.cell() == "7"

        asked = [query["sql"] for query in queries if "= 9999" in query["sql"]]
        assert len(asked) == 1

    def test_admin_without_such_a_page(self):
        class NoPage(admin.ModelAdmin):
            def get_urls(self):
                return []

        site = admin.AdminSite()
        site.register(Order, NoPage)
        site.register(ButtonOrder, ButtonOrderAdmin)
        urlconf = (path("admin/", site.urls),)
        with override_settings(ROOT_URLCONF=urlconf):
            assert self.cell() == f"order {self.order.pk}"

    def test_model_that_is_not_in_the_admin(self):
        kind = ContentType.objects.get_for_model(Page)
        ButtonOrder.objects.exclude(pk=self.row.pk).update(source_type=kind)

        assert self.cell() == f"page {self.order.pk}"

    def test_one_statement_for_each_model(self):
        with CaptureQueriesContext(connection) as one:
            self.list()
        for number in range(5):
            Order.objects.create(number=f"{number}")

        with self.assertNumQueries(len(one)):
            self.list()


class ListPermissionTests(AdminTestCase):
    def test_view(self):
        self.log_in("view_buttonorder")

        assert self.list() == ["1994"]
        form = self.client.get(LIST_URL).context["action_form"]
        names = [name for name, _label in form.fields["action"].choices if name]
        assert names == ["export_orders"]

    def test_none(self):
        self.log_in()

        assert self.client.get(LIST_URL).status_code == 403

    def test_anonymous(self):
        self.client.logout()

        assert self.client.get(LIST_URL).status_code == 302
