"""Every filter, search and sort order of the lists uses an index."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import Model, Q
from django.test import TestCase, TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext

from django_button_orders.models import ButtonOrder, Difference
from django_button_orders.models.clock import from_now
from django_button_orders.operations.erase import Person
from tests.admin.test_differences import LIST_URL as DIFFERENCES_URL
from tests.admin.utils import LIST_URL, create_user
from tests.shop.models import Order
from tests.utils import LONG_AGO, PURCHASED, analyze, button_settings, create_row

MANY = 3000
# SQLite uses a partial index only if the query repeats its condition word for word,
# or excludes NULL.
PLAIN = {
    "state=in_flight": {"lease", "due"},
    "currency=JPY": {"currency"},
    "bought_from=2019-01-01&bought_to=2021-01-01": {"bought"},
    "bought_from=2019-01-01&bought_to=2021-01-01&o=4": {"bought"},
    "o=4": {"bought"},
    "o=-4": {"bought"},
    "o=2": {"unique"},
    "token=no": {"token"},
    "token=late": {"late_token"},
}
CONDITIONAL = {
    # SQLite is left out: it expects every status and currency to be equally frequent.
    "currency=unknown": {"currency"},
    "state=due": {"due", "status"},
    "state=stuck": {"due", "status"},
    "state=closing_unsent": {"due", "status"},
    "status__exact=failed": {"status", "due"},
    "status__exact=pending": {"status", "due"},
    "reason__exact=refused": {"reason"},
    "answer=4xx": {"answer"},
    "answer=5xx": {"answer"},
    "answer=none": {"status", "due"},
}
SEARCHES = {"unique", "customer_id", "token", "button_id"}


@override_settings(BUTTON_ORDERS=button_settings())
class PlanTestCase(TransactionTestCase):
    model: type[Model]
    prefix: str
    url: str

    def setUp(self):
        ContentType.objects.clear_cache()
        self.client.force_login(create_user(name="root", is_superuser=True))

    @property
    def is_sqlite(self):
        return connection.vendor == "sqlite"

    def plans(self, query, part):
        """Return the query plans of the statements that contain a text."""
        with CaptureQueriesContext(connection) as queries:
            assert self.client.get(f"{self.url}{query}").status_code == 200
        explain = {"sqlite": "EXPLAIN QUERY PLAN"}.get(connection.vendor, "EXPLAIN")
        plans = []
        for statement in queries.captured_queries:
            if part in statement["sql"]:
                with connection.cursor() as cursor:
                    cursor.execute(f"{explain} {statement['sql']}")
                    plans.append("\n".join(map(str, cursor.fetchall())))
        return plans

    def names_in(self, plan):
        names = {index.name for index in self.model._meta.indexes}
        names |= {item.name for item in self.model._meta.constraints}
        plan = plan.replace("sqlite_autoindex", f"{self.prefix}unique")
        used = {name for name in names if name in plan}
        return {name.removeprefix(self.prefix) for name in used}

    def check_found_in(self, queries):
        for query, names in queries.items():
            with self.subTest(query=query):
                plans = self.plans(f"?{query}", "LIMIT 1001")

                assert len(plans) == 1
                assert self.names_in(plans[0]) & names, plans[0]


class OrderTests(PlanTestCase):
    model, prefix, url = ButtonOrder, "button_order_", LIST_URL

    def setUp(self):
        super().setUp()
        ButtonOrder.objects.bulk_create(
            ButtonOrder(
                order_id=f"{number}",
                status="reported",
                next_attempt_at=None,
                total=7000,
                currency="USD",
                btn_ref=f"srctok-{number}",
                customer_order_id=f"c-{number}",
                button_order_id=f"btnorder-{number}",
                customer={"email_sha256": f"{number:064x}"},
                purchase_date=PURCHASED + timedelta(minutes=number),
                created_at=PURCHASED + timedelta(minutes=number),
                last_status_code=200,
            )
            for number in range(MANY)
        )
        for number, values in enumerate(
            (
                {"status": "failed", "reason": "refused", "last_status_code": 422},
                {"next_attempt_at": LONG_AGO, "last_status_code": 503},
                {"lease_expires_at": from_now(60), "btn_ref": ""},
                {"status": "reported", "has_late_token": True},
                {"currency": "JPY", "purchase_date": LONG_AGO},
            )
        ):
            row = create_row(order_id=f"rare {number}")
            ButtonOrder.objects.filter(pk=row.pk).update(**values)
        analyze(ButtonOrder)

    def test_filters_and_sorts(self):
        self.check_found_in(PLAIN if self.is_sqlite else PLAIN | CONDITIONAL)

    def test_orders_without_a_token_during_a_backlog(self):
        """Orders that were only just saved have no token yet."""
        ButtonOrder.objects.bulk_create(
            ButtonOrder(order_id=f"just saved {number}") for number in range(MANY // 2)
        )
        analyze(ButtonOrder)

        self.check_found_in({"token=no": {"token"}})

    def test_search(self):
        for term, names in {
            "77": SEARCHES,
            "#Rare-7": SEARCHES,
            "jane@shop.test": {*SEARCHES, "email"},
            "0" * 64: {*SEARCHES, "email"},
        }.items():
            with self.subTest(term=term):
                plans = self.plans(f"?{urlencode({'q': term})}", "LIMIT 1000")

                assert len(plans) == len(names)
                assert set().union(*map(self.names_in, plans)) == names, plans

    def test_customer_to_erase(self):
        rows = Person(email="jane@shop.test").searches("default")
        [plan] = [item.explain() for item in rows]

        assert self.names_in(plan) == {"email"}, plan

    def test_choices_of_the_filters(self):
        plans = self.plans("", "ORDER BY 1 ASC")

        # The panel also looks for the accounts that have due orders.
        assert len(plans) == 5
        for plan in plans:
            assert self.names_in(plan) & {"currency", "due"}, plan

    def test_sums_of_the_panel(self):
        """Amounts and windows are read of the few orders that are not reported."""
        if self.is_sqlite:
            self.skipTest("SQLite expects every status to be equally frequent.")
        plans = [*self.plans("", "SUM("), *self.plans("", "MIN(")]

        assert len(plans) == 3
        for plan in plans:
            assert self.names_in(plan) & {"status", "due"}, plan


class JustSavedTests(TestCase):
    def test_indexes_that_a_checkout_waits_for(self):
        Order.objects.create(number="1994")
        row = ButtonOrder.objects.filter(order_id="1994", status="pending")

        names = {
            index.name.removeprefix("button_order_")
            for index in ButtonOrder._meta.indexes
            if row.filter(index.condition or Q()).exists()
        }

        assert names == {"due", "source", "bought"}


class DifferenceTests(PlanTestCase):
    model, prefix, url = Difference, "button_difference_", DIFFERENCES_URL

    def setUp(self):
        super().setUp()
        Difference.objects.bulk_create(
            Difference(
                side="shop",
                kind="changed",
                order_id=f"{number}",
                found_at=PURCHASED + timedelta(minutes=number),
                fixed_at=PURCHASED,
            )
            for number in range(MANY)
        )
        Difference.objects.filter(order_id="7").update(kind="missing", fixed_at=None)
        analyze(Difference)

    def test_filters_and_sorts(self):
        self.check_found_in(
            {
                "kind__exact=missing": {"kind"},
                "fixed_at__isempty=1": {"fixed"},
                "": {"found"},
                "fixed_at__isempty=0": {"found", "fixed"},
                "o=4": {"found"},
                "o=-4": {"found"},
                "q=7": {"unique"},
            }
        )
