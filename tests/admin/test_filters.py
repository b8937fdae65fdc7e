from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from django.test import override_settings
from django.utils.timezone import localdate

from django_button_orders.models import ButtonOrder, content_types
from django_button_orders.models.clock import from_now
from tests.admin.utils import LIST_URL, AdminTestCase, text_of
from tests.shop.models import Order
from tests.utils import button_settings, create_row

TWO_ACCOUNTS = button_settings(ACCOUNTS={"eu": {"API_KEY": "sk-eu"}})


class FilterTestCase(AdminTestCase):
    def sidebar(self, query=""):
        """Return the choices of all filters."""
        text = text_of(self.client.get(f"{LIST_URL}{query}"))
        return text[text.index(" Filter ") :]


class FilterTests(FilterTestCase):
    def test_status_and_reason(self):
        self.put(status="failed", reason="refused")

        assert self.list("?status__exact=failed") == ["1994"]
        assert self.list("?status__exact=pending") == []
        assert self.list("?reason__exact=refused") == ["1994"]
        assert self.list("?reason__exact=invalid") == []

    def test_state(self):
        free, leased = {"lease_expires_at": None}, {"lease_expires_at": from_now(60)}
        states = {
            ("due",): {"next_attempt_at": from_now(-5), **free},
            ("waiting",): {"next_attempt_at": from_now(60), **free},
            ("in_flight",): {"next_attempt_at": from_now(-5), **leased},
            ("due", "stuck"): {"next_attempt_at": from_now(-900), **free},
        }
        for found, values in states.items():
            self.put(**values)
            for name in ("due", "waiting", "in_flight", "stuck"):
                with self.subTest(found=found, name=name):
                    assert bool(self.list(f"?state={name}")) == (name in found)

    def test_of_another_site(self):
        self.put(site="live", next_attempt_at=from_now(-900))

        assert self.list("?state=of_other_sites") == ["1994"]
        assert self.list("?state=due") == self.list("?state=stuck") == []
        with self.settings(BUTTON_ORDERS=button_settings(SITE="live")):
            assert self.list("?state=of_other_sites") == []
            assert self.list("?state=due") == ["1994"]

    def test_worker_that_died(self):
        self.put(next_attempt_at=from_now(-30), lease_expires_at=from_now(-5))

        assert self.list("?state=stuck") == ["1994"]

    def test_finished_rows_are_in_no_state(self):
        self.put(status="failed", next_attempt_at=from_now(-900))

        assert self.list("?state=stuck") == self.list("?state=due") == []

    def test_what_is_not_offered_matches_nothing(self):
        """An unknown value matches nothing, so an action cannot run on all orders."""
        for query in (
            "state=asleep",
            "currency=XXX",
            "currency=%00",
            "answer=9xx",
            "token=maybe",
            "source=shop.page",
        ):
            with self.subTest(query=query):
                assert self.list(f"?{query}") == []

    @override_settings(BUTTON_ORDERS=TWO_ACCOUNTS)
    def test_account(self):
        create_row(account="eu", order_id="1995")

        assert self.list("?account=eu") == ["1995"]
        assert self.list("?account=default") == ["1994"]
        assert self.list("?account=%00") == []
        assert len(self.list()) == 2

    def test_account_that_is_the_only_one(self):
        create_row(account="forgotten", order_id="1995")

        assert self.list("?account=default") == ["1994"]
        assert "By account" not in self.sidebar()

    def test_currency(self):
        create_row(order_id="1995", currency="JPY")
        create_row(order_id="1996", currency=None)

        assert self.list("?currency=JPY") == ["1995"]
        assert self.list("?currency=USD") == ["1994"]
        assert self.list("?currency=unknown") == ["1996"]
        assert "By currency All JPY USD Unknown " in self.sidebar()

    def test_currency_that_is_the_only_one(self):
        create_row(order_id="1995", currency=None)
        create_row(order_id="1996", currency="")

        assert "By currency" not in self.sidebar()

    def test_currency_without_a_date(self):
        """A shop may save an order directly without validation."""
        create_row(order_id="just saved", currency=None, purchase_date=None)
        create_row(order_id="empty", currency="", purchase_date=None)
        create_row(order_id="1995", currency="CHF", purchase_date=None)

        assert self.list("?currency=CHF") == ["1995"]
        assert self.list("?currency=unknown") == ["empty", "just saved"]
        assert "By currency All CHF USD Unknown " in self.sidebar()

    def test_only_currency(self):
        create_row(order_id="1995", currency=None)

        assert self.list("?currency=USD") == ["1994"]
        assert "By currency" not in self.sidebar()

    def test_currencies_take_a_step_each(self):
        for number in range(20):
            create_row(order_id=f"{number}", currency="EUR")

        with self.assertNumQueries(3):
            assert ButtonOrder.objects.values_in("currency", "pk") == ["EUR", "USD"]

    def test_answer(self):
        classes = {
            "2xx": (200, 299),
            "3xx": (300, 399),
            "4xx": (400, 499),
            "5xx": (500, 599),
            "none": (None,),
        }
        for code in [code for codes in classes.values() for code in codes]:
            self.put(last_status_code=code)
            for name, codes in classes.items():
                with self.subTest(code=code, name=name):
                    assert bool(self.list(f"?answer={name}")) == (code in codes)

    def test_no_answer_is_about_what_is_not_reported(self):
        self.put(status="reported")

        assert self.list("?answer=none") == []

    def test_token(self):
        create_row(order_id="empty", btn_ref="")

        assert self.list("?token=yes") == ["1994"]
        assert self.list("?token=no") == ["empty"]

        create_row(order_id="null", btn_ref=None)
        assert self.list("?token=yes") == ["1994"]
        assert self.list("?token=no") == ["null", "empty"]

    def test_late_token(self):
        assert self.list("?token=late") == []
        self.put(has_late_token=True)

        assert self.list("?token=late") == ["1994"]

    def test_token_that_is_not_known_yet(self):
        for order_id, token in (("empty", ""), ("null", None), ("1995", "srctok-2")):
            create_row(order_id=order_id, btn_ref=token, purchase_date=None)

        assert self.list("?token=yes") == ["1995", "1994"]
        assert self.list("?token=no") == []

    def test_source(self):
        kind = content_types(None).get_for_model(Order)
        row = create_row(order_id="1995")
        ButtonOrder.objects.filter(pk=row.pk).update(source_type=kind, source_id="7")

        assert self.list("?source=shop.order") == ["1995"]
        assert self.list("?source=direct") == ["1994"]
        assert "By source All Order Reported directly " in self.sidebar()

    def test_source_that_is_gone(self):
        """The app of the model was removed, with its content type."""
        self.put(source_id="7")

        assert self.list("?source=direct") == []

    def test_together(self):
        create_row(order_id="1995", currency="JPY")

        assert self.list("?currency=JPY&state=due&token=yes") == ["1995"]
        assert self.list("?currency=JPY&state=waiting&token=yes") == []

    def test_nothing_but_what_is_offered(self):
        """Other fields have no index, and some of them are about customers."""
        for lookup in (
            "pk",
            "pk__contains",
            "last_error__contains",
            "customer__email__contains",
            "status__startswith",
            "currency__contains",
            "attempts",
        ):
            with self.subTest(lookup=lookup):
                assert self.client.get(LIST_URL, {lookup: "a"}).status_code == 400


class DateTests(FilterTestCase):
    """A day begins and ends in the shop's time zone, America/Chicago."""

    def setUp(self):
        super().setUp()
        # One minute before November 1 ends there, and the moment when it ends.
        for minute, name in ((59, "before"), (60, "after")):
            moment = datetime(2026, 11, 2, 5, tzinfo=timezone.utc)
            moment += timedelta(minutes=minute)
            create_row(order_id=name, purchase_date=moment)
        self.put(purchase_date=None)

    def test_both_ends_are_included(self):
        days = {
            "bought_from=2026-11-01&bought_to=2026-11-01": ["before"],
            "bought_from=2026-11-02": ["after"],
            "bought_to=2026-11-02": ["after", "before"],
            "bought_to=2026-10-31": [],
        }
        for query, found in days.items():
            with self.subTest(query=query):
                assert self.list(f"?{query}") == found

    def test_sorted_by_the_date(self):
        create_row(
            order_id="old", purchase_date=datetime(2026, 10, 1, tzinfo=timezone.utc)
        )

        assert self.list("?bought_from=2026-09-01") == ["after", "before", "old"]
        assert self.list("?bought_from=2026-09-01&o=4") == ["old", "before", "after"]

    @override_settings(USE_TZ=False)
    def test_without_time_zones(self):
        assert self.list("?bought_from=2020-01-01&bought_to=2020-01-02") == []

    def test_no_days(self):
        for query in (
            "bought_from=soon",
            "bought_to=2026-02-30",
            "bought_to=9999-12-31",
        ):
            with self.subTest(query=query):
                response = self.client.get(f"{LIST_URL}?{query}")

                assert response["Location"] == f"{LIST_URL}?e=1"

    @override_settings(TIME_ZONE="Asia/Tokyo")
    def test_first_day_of_all(self):
        """In UTC, it begins before Python's calendar does."""
        response = self.client.get(f"{LIST_URL}?bought_from=0001-01-01")

        assert response["Location"] == f"{LIST_URL}?e=1"

    def test_form_keeps_the_other_filters(self):
        response = self.client.get(f"{LIST_URL}?status__exact=pending&q=1&bought_from=")

        html = response.content.decode()
        form = html[html.index('<form method="get" id="button-order-bought">') :]
        form = form[: form.index("</form>")]
        assert '<input type="hidden" name="status__exact" value="pending">' in form
        assert '<input type="hidden" name="q" value="1">' in form
        assert "bought_from" not in form
        days = re.findall(r'<input type="date" form="([\w-]+)" name="(\w+)"', html)
        assert days == [
            ("button-order-bought", "bought_from"),
            ("button-order-bought", "bought_to"),
        ]

    def test_quick_choices(self):
        today = localdate()
        html = self.client.get(f"{LIST_URL}?bought_from={today}").content.decode()

        assert f'class="selected">\n    <a href="?bought_from={today}">Today' in html
        week = today - timedelta(days=6)
        assert f'<a href="?bought_from={week}">Past 7 days' in html

    def test_quick_choices_have_no_last_day(self):
        today = localdate()
        query = f"?bought_from={today}&bought_to={today}"
        html = self.client.get(f"{LIST_URL}{query}").content.decode()

        assert f'<li>\n    <a href="?bought_from={today}">Today' in html
