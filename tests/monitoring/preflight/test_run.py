from __future__ import annotations

import re
from contextlib import ExitStack
from typing import ClassVar

import responses
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext

from django_button_orders.models import ButtonOrder
from django_button_orders.monitoring.preflight.newest import newest_reports
from django_button_orders.monitoring.preflight.run import (
    Selection,
    newest_orders,
    run_preflight,
)
from tests.monitoring.preflight.utils import (
    ADDRESS,
    NOW,
    PLANTS,
    PlantedAdapter,
    place,
    planted_shop,
)
from tests.shop.models import Order
from tests.utils import button_settings, create_row

PLACE = re.compile(r" at \w+/\w+.py:\d+")
UUID = "0b7ef8b3-7c1f-4b5e-9a3a-4d8f2b1c0a99"
UNKNOWN_ACCOUNT = (
    "BUTTON_ORDERS['ACCOUNTS'] has no account 'unknown'. Known accounts: default."
)

NO_CODE = (
    "Enter the ISO 4217 code of a currency, in upper case, such as USD, not 'usd'."
)
NO_DATE = "Enter a datetime, not a value of type str."


def planted(mistake):
    """Return what is found of the four orders in which a mistake was planted."""
    start = 1000 + 10 * list(PLANTS).index(mistake)
    return (4, tuple(f"{number:04d}" for number in range(start, start + 3)))


@override_settings(BUTTON_ORDERS=button_settings())
class PreflightTestCase(TestCase):
    adapter = PlantedAdapter

    def setUp(self):
        stack = ExitStack()
        stack.enter_context(planted_shop(self.adapter))
        # Any call raises.
        stack.enter_context(responses.RequestsMock())
        self.addCleanup(stack.close)

    def run_all(self, limit=5000, **options):
        self.preflight = run_preflight(newest_orders(limit), **options)
        return {
            (item.code, PLACE.sub("", item.detail)): (
                item.count,
                item.order_ids,
            )
            for item in self.preflight.findings
        }


class ScenarioTests(PreflightTestCase):
    """A shop of 1,000 orders in which each kind of mistake is planted."""

    def test_correct_shop_has_no_findings(self):
        place(1000)

        assert self.run_all() == {}
        assert self.preflight.orders == self.preflight.reports == 1000
        assert self.preflight.shares == {
            "token": 1000,
            "lines": 1000,
            "customer": 1000,
            "is_new": 1000,
            "customer_order_id": 0,
            "gross_total": 1000,
        }

    def test_each_mistake_is_found(self):
        place(900)
        for at, mistake in enumerate(PLANTS):
            place(4, start=1000 + 10 * at, trouble=mistake)
        place(2, start=2000, trouble="get_order_id")
        place(1, start=2010, trouble="build")
        place(1, start=2020, trouble="nothing")
        place(1, start=2030, trouble="hook")
        place(1, start=2040, is_paid=False)
        place(1, start=2050, is_cancelled=True)
        place(2, start=2060, number="twice")
        place(1, start=2070, account="unknown")
        place(1, start=2080, trouble="shared")
        place(1, start=2090, number=UUID)
        nameless = Order.objects.filter(trouble="get_order_id").order_by("-placed_at")

        found = self.run_all()

        assert "@" not in str(found)
        build, hook = "PlantedAdapter.build", "PlantedAdapter.tax"
        assert found == {
            ("not_built", "PlantedAdapter.get_order_id: LookupError"): (
                2,
                tuple(f"shop.order:{order.pk}" for order in nameless),
            ),
            ("not_built", f"{build}: ValueError"): (1, ("2010",)),
            ("not_built", f"{build} returned NoneType, not an OrderReport."): (
                1,
                ("2020",),
            ),
            ("not_built", f"{build}: purchase_date: {NO_DATE}"): planted("date"),
            ("changing_report", "purchase_date"): planted("clock"),
            ("unknown_currency", f"{build}: currency: {NO_CODE}"): planted("currency"),
            ("unknown_account", UNKNOWN_ACCOUNT): (1, ("2070",)),
            ("hook_failed", f"{hook}: KeyError"): (1, ("2030",)),
            ("repeated_order_id", ""): (2, ("twice",)),
            ("repeated_identifier", ""): planted("identifier"),
            ("lines_differ", ""): planted("lines"),
            ("total_above_gross", ""): planted("above"),
            ("total_is_gross", ""): planted("gross"),
            ("total_has_delivery", ""): planted("delivery"),
            ("total_has_tax", ""): planted("tax"),
            ("future_date", ""): planted("future"),
            ("old_date", ""): planted("old"),
            ("email_in_text", "description"): planted("description"),
            ("email_in_text", "attributes"): planted("attributes"),
            ("email_in_text", "customer_order_id"): planted("customer_order_id"),
            ("hash_of_nothing", ""): planted("hash"),
            ("publisher_token", ""): planted("org"),
            ("fake_token", ""): planted("fake"),
            ("repeated_token", ""): (5, planted("shared")[1]),
            ("dummy_email", ""): planted("dummy"),
            ("unseen_order_id", "The ID is a UUID."): (1, (UUID,)),
            ("withdrawn_currency", "HRK"): planted("withdrawn"),
        }
        preflight = self.preflight
        assert preflight.orders == preflight.reports + preflight.not_built + 2
        assert preflight.not_built == 12
        assert (preflight.not_reportable, preflight.cancelled) == (1, 1)
        assert len(preflight.errors) == 22
        assert len(preflight.warnings) == 5


class NoWriteTests(PreflightTestCase):
    def test_nothing_is_written_or_sent(self):
        place(3)
        place(1, start=4, trouble="build")

        with CaptureQueriesContext(
            connection,
        ) as queries:
            self.run_all()

        verbs = {query["sql"].split()[0] for query in queries}
        assert verbs <= {"SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK"}
        assert not ButtonOrder.objects.exists()


class WritingAdapter(PlantedAdapter):
    """An adapter that writes where it should only read."""

    def build(self, order):
        User.objects.create(username=f"{order.pk}-{User.objects.count()}")
        transaction.on_commit(self.ran.append)
        return super().build(order)

    def tax(self, order):
        Order.objects.filter(pk=order.pk).update(currency="EUR")

    ran: ClassVar[list[object]] = []


class WritingAdapterTests(PreflightTestCase):
    adapter = WritingAdapter

    def test_writes_are_rolled_back(self):
        place(3)

        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            self.run_all()

        assert self.preflight.reports == 3
        assert callbacks == []
        assert not User.objects.exists()
        assert not Order.objects.filter(currency="EUR").exists()

    def test_writes_for_the_walk(self):
        place(3)

        assert len(list(newest_reports(newest_orders(), account="default"))) == 3
        assert not User.objects.exists()


class AutocommitTests(TransactionTestCase):
    """Outside of a transaction, as in the command."""

    def test_writes_are_rolled_back(self):
        with planted_shop(WritingAdapter):
            place(3)

            preflight = run_preflight(newest_orders())

        assert preflight.reports == 3
        assert not User.objects.exists()
        assert not Order.objects.filter(currency="EUR").exists()


class SelectionTests(PreflightTestCase):
    def test_newest_orders_are_looked_at(self):
        place(3)
        place(1, start=10, trouble="build")

        assert self.run_all(limit=3) == {}
        assert self.preflight.orders == 3

    def test_wanted_orders(self):
        place(3)
        place(1, start=10, trouble="build")

        found = self.run_all(order_ids=["0010", "0002", "9999"])

        assert [code for code, _ in found] == ["not_built"]
        assert (self.preflight.orders, self.preflight.reports) == (2, 1)
        assert self.preflight.unknown_ids == ["9999"]

    def test_others_are_not_counted_beside_wanted_orders(self):
        place(1, trouble="get_order_id")
        place(1, start=2, trouble="get_order_id", is_paid=False)
        place(1, start=3)

        assert self.run_all(order_ids=["0003", ADDRESS]) == {}
        assert self.preflight.orders == 1
        assert self.preflight.unknown_ids == ["[e-mail]"]

    def test_ends_with_the_last_wanted_order(self):
        place(3)
        seen = []

        self.run_all(order_ids=["0002"], advance=lambda: seen.append(1))

        assert len(seen) == 2

    def test_button_orders_tell_which_orders_to_read(self):
        """In a large shop, most IDs are those of orders that are known already."""
        oldest = place(3)[2]
        kind = ContentType.objects.get_for_model(Order)
        create_row(order_id="0003", source_type=kind, source_id=str(oldest.pk))
        seen = []

        self.run_all(order_ids=["0003"], advance=lambda: seen.append(1))

        assert len(seen) == 1
        assert self.preflight.reports == 1

    def test_primary_keys_tell_which_orders_to_read(self):
        orders = place(3)
        Order.objects.filter(pk=orders[2].pk).update(number=orders[2].pk)
        seen = []

        self.run_all(order_ids=[str(orders[2].pk)], advance=lambda: seen.append(1))

        assert len(seen) == 1

    def test_no_orders(self):
        assert self.run_all() == {}
        assert self.preflight.orders == 0

    def test_no_order_is_reportable(self):
        place(2, is_paid=False)
        place(1, start=3, is_cancelled=True)

        assert self.run_all() == {("nothing_built", ""): (3, ())}


class AccountAdapter(PlantedAdapter):
    """An adapter of a model with a date that may be missing."""

    date_field = "last_login"

    def get_queryset(self):
        return User.objects.all()

    def get_order_id(self, order):
        return order.username

    def get_account(self, order):
        return "default"

    def is_reportable(self, order):
        return False


class MissingDateTests(PreflightTestCase):
    def test_orders_without_date_are_left_out(self):
        User.objects.create(username="old", last_login=NOW)
        User.objects.create(username="new")
        selection = Selection(adapter=AccountAdapter(User), using="default")

        assert run_preflight([selection]).not_reportable == 1


class SqlAdapter(PlantedAdapter):
    def build(self, order):
        if order.trouble == "sql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT nothing FROM nowhere")
        return super().build(order)

    def delivery(self, order):
        Order.objects.get(pk=order.pk, number="none")


class SqlErrorTests(PreflightTestCase):
    """PostgreSQL refuses all queries of a transaction after an error."""

    adapter = SqlAdapter

    def test_other_orders_are_checked(self):
        place(1, trouble="sql")
        place(2, start=2)

        built, hook = self.run_all().items()

        assert (built[0][0], built[1]) == ("not_built", (1, ("0001",)))
        assert hook == (
            ("hook_failed", "SqlAdapter.delivery: DoesNotExist"),
            (2, ("0002", "0003")),
        )


class BrokenQuerysetAdapter(PlantedAdapter):
    def get_queryset(self):
        raise RuntimeError(ADDRESS)


class BrokenQuerysetTests(PreflightTestCase):
    adapter = BrokenQuerysetAdapter

    def test_error_is_a_finding(self):
        place(1)

        ((code, detail),) = self.run_all()

        assert code == "not_built"
        assert detail.startswith("BrokenQuerysetAdapter.get_queryset: RuntimeError")


class WrongRelationAdapter(PlantedAdapter):
    def get_queryset(self):
        return Order.objects.prefetch_related("nothing")


class WrongRelationTests(PreflightTestCase):
    adapter = WrongRelationAdapter

    def test_error_is_a_finding(self):
        place(4)

        (((code, detail), (count, ids)),) = self.run_all().items()

        assert code == "not_built"
        assert detail.startswith("WrongRelationAdapter.get_queryset: AttributeError")
        assert (count, len(ids), self.preflight.not_built) == (4, 3, 4)
