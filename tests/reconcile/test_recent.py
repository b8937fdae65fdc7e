from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.test import TestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_button_orders.models import ButtonOrder, Difference
from django_button_orders.outbox.adapters import (
    OrderAdapter,
    get_adapter,
    register,
    unregister,
)
from django_button_orders.reconcile.recent import BATCH_SIZE, compare_recent
from django_button_orders.tasks import reconcile_orders
from django_button_orders.tasks.worker import shutdown
from tests.shop.models import Order, Page
from tests.utils import button_settings


class Clock:
    """A clock that goes on by a second each time it is read."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1
        return self.now


@override_settings(BUTTON_ORDERS=button_settings())
class RecentTestCase(TestCase):
    databases = {"default", "archive"}

    def write(self, count=1, *, days=1, using="default"):
        """Insert orders without a signal."""
        begin = timezone.now() - timedelta(days=days)
        return Order.objects.using(using).bulk_create(
            Order(number=f"{days}-{at}", placed_at=begin + timedelta(seconds=at))
            for at in range(count)
        )

    def compare(self, **values):
        return +compare_recent(using="default", **{"seconds": 60, **values})


class RecentTests(RecentTestCase):
    def test_orders_arrive_by_themselves(self):
        self.write()
        self.write(using="archive")

        with self.assertLogs("django_button_orders", "WARNING") as logs:
            reconcile_orders()

        assert ButtonOrder.objects.due().get().order_id == "1-0"
        assert ButtonOrder.objects.using("archive").due().count() == 1
        difference = Difference.objects.get()
        assert difference.kind == "missing"
        assert difference.fixed_at is not None
        assert "Database default: 1 orders" in logs.output[0]

    def test_of_the_last_days(self):
        self.write(days=2)
        self.write(days=4)

        self.compare()

        assert ButtonOrder.objects.get().order_id == "2-0"

    def test_setting(self):
        self.write(days=4)
        with override_settings(BUTTON_ORDERS=button_settings(RECONCILE_DAYS=5)):
            self.compare()

        assert ButtonOrder.objects.get().order_id == "4-0"

    def test_switched_off(self):
        self.write()
        with (
            override_settings(BUTTON_ORDERS=button_settings(RECONCILE_DAYS=0)),
            CaptureQueriesContext(connection) as queries,
        ):
            assert self.compare() == {}

        assert len(queries) == 0

    def test_twice(self):
        self.write()

        assert self.compare() == {"missing": 1, "fixed": 1}
        assert self.compare() == {"waiting": 1}

    def test_goes_on_where_it_has_stopped(self):
        self.write(2 * BATCH_SIZE + 1)
        clock = Clock()

        # Each run has the time for one page.
        runs = [self.compare(seconds=1, clock=clock)["fixed"] for _ in range(3)]

        assert runs == [BATCH_SIZE, BATCH_SIZE, 1]
        # After the last page, the next run starts again.
        assert self.compare(seconds=1, clock=clock) == {}
        assert self.compare(seconds=1, clock=clock) == {"waiting": BATCH_SIZE}

    def test_worker_that_is_told_to_end(self):
        self.write(BATCH_SIZE + 1)
        self.addCleanup(shutdown.on_start)
        shutdown.on_end()

        reconcile_orders()

        assert ButtonOrder.objects.count() == BATCH_SIZE

    def test_two_at_once(self):
        """A run stops when another process compares the same orders."""
        self.write(2 * BATCH_SIZE + 1)
        looks = []

        def is_stopped():
            if not looks:
                looks.append(True)
                self.compare()
            return False

        # At its second page, it sees the other's checkpoint, and stops.
        assert self.compare(is_stopped=is_stopped) == {
            "missing": BATCH_SIZE,
            "fixed": BATCH_SIZE,
            "waiting": BATCH_SIZE,
        }
        assert ButtonOrder.objects.count() == 2 * BATCH_SIZE + 1

    def test_index_of_the_date_can_serve(self):
        self.write(BATCH_SIZE + 1)
        with CaptureQueriesContext(connection) as queries:
            self.compare()

        selects = [
            query["sql"] for query in queries if "FROM `shop_order` " in quoted(query)
        ]
        assert len(selects) == 3
        for sql in selects:
            assert "placed_at` >= " in quoted({"sql": sql})
            assert "ORDER BY `shop_order`.`placed_at` ASC" in quoted({"sql": sql})


def quoted(query):
    return query["sql"].replace('"', "`")


class UndatedTests(RecentTestCase):
    """Without a date_field, all orders are compared, the newest keys first."""

    def setUp(self):
        super().setUp()
        adapter = type(
            "PageAdapter",
            (OrderAdapter,),
            {"get_order_id": lambda self, page: f"page-{page.pk}"},
        )
        register(Page)(adapter)
        self.addCleanup(unregister, Page)

    def test_newest_first(self):
        pages = Page.objects.bulk_create(Page(title="") for _ in range(BATCH_SIZE + 1))

        self.compare(seconds=2, clock=Clock())

        ids = set(ButtonOrder.objects.values_list("order_id", flat=True))
        assert len(ids) == BATCH_SIZE
        assert f"page-{pages[-1].pk}" in ids
        assert f"page-{pages[0].pk}" not in ids
        self.compare(seconds=2, clock=Clock())
        assert ButtonOrder.objects.count() == BATCH_SIZE + 1

    def test_date_field_that_was_not_there_before(self):
        """A position by other fields is not used: the comparison starts again."""
        Order.objects.bulk_create(Order(number=f"{at}") for at in range(BATCH_SIZE + 1))
        adapter = get_adapter(Order)
        self.addCleanup(vars(adapter).pop, "date_field", None)
        adapter.date_field = ""
        # This is the time for one page of each model.
        self.compare(seconds=2, clock=Clock())
        del adapter.date_field
        assert ButtonOrder.objects.count() == BATCH_SIZE
        ButtonOrder.objects.all().delete()
        Order.objects.update(placed_at=timezone.now())

        self.compare()

        assert ButtonOrder.objects.count() == BATCH_SIZE + 1

    def test_each_model_has_its_share_of_the_time(self):
        self.write(BATCH_SIZE + 1)
        Page.objects.bulk_create(Page(title="") for _ in range(BATCH_SIZE + 1))

        self.compare(seconds=2, clock=Clock())

        assert ButtonOrder.objects.count() == 2 * BATCH_SIZE
