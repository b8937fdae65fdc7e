from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from io import StringIO
from uuid import uuid4

import responses
from django.core.management import call_command
from django.db import connection
from django.test import SimpleTestCase, TestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from django_button_orders import mark_changed
from django_button_orders.delivery.sweep import report_due
from django_button_orders.models import ButtonOrder, Checkpoint, Difference
from django_button_orders.models.checkpoints import FIRST_AT_WORK
from django_button_orders.outbox.adapters import (
    OrderAdapter,
    get_adapter,
    register,
    unregister,
)
from django_button_orders.reconcile.recent import BATCH_SIZE, compare_recent, is_later
from django_button_orders.tasks import reconcile_orders, report_due_orders
from django_button_orders.tasks.worker import shutdown
from tests.shop.models import Blob, ChildOfBlob, Order, Page, Tenant
from tests.utils import (
    LONG_AGO,
    add_answer,
    button_settings,
    set_first_at_work,
)


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

    def setUp(self):
        super().setUp()
        for alias in self.databases:
            set_first_at_work(LONG_AGO, using=alias)

    def write(self, count=1, *, days=1, using="default"):
        """Insert orders without a signal."""
        begin = now() - timedelta(days=days)
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
        text = (
            "Database default: 1 order differed from its Button order, and is due now."
        )
        assert text in logs.output[0]

    def test_log_of_several(self):
        self.write(2)

        with self.assertLogs("django_button_orders", "WARNING") as logs:
            self.compare()

        (line,) = logs.output
        assert "2 orders differed from their Button orders, and are due now." in line

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

    def test_model_whose_key_is_not_supported(self):
        """It has no table here, so a query would fail."""
        for model in (Tenant, Blob, ChildOfBlob):
            register(model)(OrderAdapter)
            self.addCleanup(unregister, model)
        self.write()

        with self.assertLogs("django_button_orders"):
            assert self.compare() == {"missing": 1, "fixed": 1}


def quoted(query):
    return query["sql"].replace('"', "`")


class BrokenAdapterTests(RecentTestCase):
    """A broken adapter does not turn reported orders into failed ones."""

    def setUp(self):
        super().setUp()
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)
        add_answer("POST")

    def place(self, count=3):
        """Write some orders, and report them."""
        for order in self.write(count):
            mark_changed(order)
        report_due(using="default")

    def break_adapter(self, hook="build"):
        Order.objects.update(trouble=hook)

    def mend_adapter(self):
        Order.objects.update(trouble="")

    def compare_and_report(self):
        with self.assertLogs("django_button_orders", "WARNING") as logs:
            counts = self.compare()
            report_due(using="default")
        return counts, [record.getMessage() for record in logs.records]

    def statuses(self):
        return set(ButtonOrder.objects.values_list("status", flat=True))

    def test_reported_orders_stay_reported(self):
        self.place()
        hooks = [
            "build",
            "is_cancelled",
            "is_reportable",
            "get_order_id",
            "get_account",
        ]
        for hook in hooks:
            with self.subTest(hook=hook):
                self.break_adapter(hook)

                counts, (line,) = self.compare_and_report()

                assert counts == {"invalid": 3}
                assert line.startswith(
                    f"ShopOrderAdapter.{hook} fails for 3 reported orders (such as "
                    "1-0, 1-1): TroubleError at shop/button_orders.py:"
                )
                assert line.endswith(". Button keeps their last report.")
                assert self.statuses() == {"reported"}
                # Nothing differs any more when the adapter is mended.
                self.mend_adapter()
                assert self.compare() == {"agree": 3}

    def test_one_order(self):
        self.place(1)
        self.break_adapter()

        _, (line,) = self.compare_and_report()

        assert "build fails for 1 reported order (1-0): TroubleError at " in line
        assert line.endswith(". Button keeps its last report.")

    def test_no_report_returned(self):
        self.place(1)
        built = vars(type(get_adapter(Order)))["built"]
        built.extend([None, None])
        self.addCleanup(built.clear)

        _, (line,) = self.compare_and_report()

        assert "(1-0): it returned NoneType, not an OrderReport. Button" in line

    def test_failed_by_a_broken_adapter(self):
        """Saves made the orders fail. They are reported when it is mended."""
        self.place()
        self.break_adapter()
        for order in Order.objects.all():
            mark_changed(order)
        with self.assertLogs("django_button_orders", "WARNING"):
            report_due(using="default")
        assert self.statuses() == {"failed"}
        assert self.compare() == {"failed": 3}
        self.mend_adapter()

        counts, _ = self.compare_and_report()

        assert counts == {"changed": 3, "fixed": 3}
        assert self.statuses() == {"reported"}
        difference = Difference.objects.first()
        assert difference.error == "It failed as invalid, and can be reported now."

    def test_dismissed_by_a_person(self):
        """Only a change of the order makes it due again."""
        self.write(1)
        self.break_adapter()
        with self.assertLogs("django_button_orders", "WARNING"):
            self.compare()
            report_due(using="default")
        ButtonOrder.objects.get().dismiss()
        self.mend_adapter()

        assert self.compare() == {"agree": 1}

    def test_order_that_is_not_to_be_reported(self):
        """It failed because the adapter could not tell. The worker dismisses it."""
        (order,) = self.write(1)
        self.break_adapter("is_reportable")
        with self.assertLogs("django_button_orders", "ERROR"):
            mark_changed(Order.objects.get(pk=order.pk))
        assert self.statuses() == {"failed"}
        Order.objects.update(trouble="", is_paid=False)

        counts, _ = self.compare_and_report()

        assert counts == {"changed": 1, "fixed": 1}
        assert self.statuses() == {"dismissed"}
        assert self.compare() == {"agree": 1}

    def test_placeholder_of_a_reported_order(self):
        """A save recorded the error on a row with another ID, which is dismissed."""
        self.place(1)
        self.break_adapter("get_order_id")
        with self.assertLogs("django_button_orders", "ERROR"):
            mark_changed(Order.objects.get())
        assert self.statuses() == {"reported", "failed"}
        self.mend_adapter()

        counts, _ = self.compare_and_report()

        assert counts == {"agree": 1, "changed": 1, "fixed": 1}
        assert self.statuses() == {"reported", "dismissed"}
        assert self.compare() == {"agree": 1}

    def test_account_that_the_settings_lack(self):
        """Another attempt would fail in the same way."""
        self.write(1)
        Order.objects.update(account="eu")
        with self.assertLogs("django_button_orders", "WARNING"):
            self.compare()
            report_due(using="default")
        assert self.statuses() == {"failed"}

        assert self.compare() == {"failed": 1}

    def test_account_that_cannot_be_told(self):
        """An order is never reported to the default account because of an error."""
        self.write(1)
        self.break_adapter("get_account")
        with self.assertLogs("django_button_orders", "ERROR"):
            self.compare()
        assert self.statuses() == {"failed"}

        assert self.compare() == {"failed": 1}

    def test_errors_are_not_counted_as_due(self):
        self.write(1)
        self.break_adapter("get_order_id")

        with self.assertLogs("django_button_orders", "WARNING") as logs:
            assert self.compare() == {"invalid": 1, "fixed": 1}

        assert not any("due now" in line for line in logs.output)


class FirstAtWorkTests(RecentTestCase):
    """Installing the app on a shop that has orders reports none by itself."""

    def begin(self, **ago):
        set_first_at_work(now() - timedelta(**ago))

    def test_older_orders(self):
        self.begin(days=2)
        self.write(3, days=2.001)
        self.write(2, days=1)

        assert self.compare() == {"missing": 2, "fixed": 2, "not_added": 3}
        assert not ButtonOrder.objects.exclude(order_id__startswith="1-").exists()
        assert Difference.objects.count() == 2

    def test_older_order_that_is_saved(self):
        """A save reports it, and from then on its changes are found."""
        self.begin(hours=1)
        (order,) = self.write()
        order.save()
        assert ButtonOrder.objects.count() == 1

        assert self.compare() == {"waiting": 1}

    def test_older_order_that_has_changed(self):
        self.begin(hours=1)
        (order,) = self.write()
        mark_changed(order)
        ButtonOrder.objects.update(
            status="reported", reported_revision=1, reported_digest="0"
        )

        assert self.compare() == {"changed": 1, "fixed": 1}

    def test_older_order_with_the_id_of_one_that_is_gone(self):
        self.begin(hours=1)
        (order,) = self.write()
        mark_changed(order)
        ButtonOrder.objects.update(source_id=uuid4())

        assert self.compare() == {"not_added": 1}

    def test_older_order_whose_adapter_raises(self):
        self.begin(hours=1)
        orders = self.write(2)
        Order.objects.update(trouble="get_order_id")
        mark_changed(Order.objects.get(pk=orders[0].pk))

        assert self.compare() == {"not_added": 1, "failed": 1}
        assert ButtonOrder.objects.count() == 1

    def test_first_run_begins(self):
        Checkpoint.objects.all().delete()
        self.write(days=0.001)

        assert self.compare() == {"not_added": 1}
        self.write(days=-0.001)
        assert self.compare() == {"missing": 1, "fixed": 1, "not_added": 1}

    def test_database_that_has_rows(self):
        """The app was at work before it remembered since when."""
        Checkpoint.objects.all().delete()
        for order in self.write(2, days=2):
            mark_changed(order)
        begun = now() - timedelta(days=1.5)
        oldest = ButtonOrder.objects.order_by("pk").first()
        ButtonOrder.objects.filter(pk=oldest.pk).update(created_at=begun)
        self.write()

        assert self.compare() == {"missing": 1, "fixed": 1, "waiting": 2}
        assert Checkpoint.objects.first_at_work() == begun

    def test_sweep_begins(self):
        Checkpoint.objects.all().delete()

        report_due_orders()

        assert Checkpoint.objects.get().name == FIRST_AT_WORK

    def test_pruning_keeps_it(self):
        self.begin(days=10_000)
        before = Checkpoint.objects.first_at_work()

        call_command("button_orders_prune", "--submissions-days=1", "--bodies-days=1")

        assert Checkpoint.objects.first_at_work() == before

    def test_command_adds_older_orders(self):
        self.begin(hours=1)
        self.write()

        call_command("button_orders_reconcile", "shop", "--fix", stdout=StringIO())

        assert ButtonOrder.objects.count() == 1


class DateTests(SimpleTestCase):
    """A date without a time counts from the next day on."""

    def test_date(self):
        first = datetime(2026, 11, 3, 23, 30, tzinfo=timezone.utc)
        days = {2: False, 3: False, 4: True}
        for day, later in days.items():
            with self.subTest(day=day), override_settings(TIME_ZONE="UTC"):
                assert is_later(date(2026, 11, day), first) is later

    @override_settings(TIME_ZONE="Asia/Tokyo")
    def test_local_date(self):
        first = datetime(2026, 11, 3, 23, 30, tzinfo=timezone.utc)

        assert not is_later(date(2026, 11, 4), first)
        assert is_later(date(2026, 11, 5), first)

    @override_settings(USE_TZ=False)
    def test_naive(self):
        first = datetime(2026, 11, 3, 12)

        assert not is_later(date(2026, 11, 3), first)
        assert is_later(date(2026, 11, 4), first)
        assert not is_later(datetime(2026, 11, 3, 11), first)
        assert is_later(datetime(2026, 11, 3, 13), first)


class UndatedTests(RecentTestCase):
    """Without a date_field, orders are compared with their rows, and none is added."""

    def setUp(self):
        super().setUp()
        adapter = type(
            "PageAdapter",
            (OrderAdapter,),
            {"get_order_id": lambda self, page: f"page-{page.pk}"},
        )
        register(Page)(adapter)
        self.addCleanup(unregister, Page)

    def write_pages(self, count):
        return Page.objects.bulk_create(Page(title="") for _ in range(count))

    def test_none_is_added(self):
        self.write_pages(2)

        assert self.compare() == {"not_added": 2}
        assert not ButtonOrder.objects.exists()

    def test_changed(self):
        (page,) = self.write_pages(1)
        mark_changed(page)
        ButtonOrder.objects.update(
            status="reported", reported_revision=1, reported_digest="0"
        )

        # The adapter has no build(), so the row stays as it is.
        with self.assertLogs("django_button_orders", "WARNING"):
            assert self.compare() == {"invalid": 1}

    def test_newest_first(self):
        pages = self.write_pages(BATCH_SIZE + 1)
        for page in (pages[0], pages[-1]):
            mark_changed(page)

        first = self.compare(seconds=2, clock=Clock())

        assert first == {"waiting": 1, "not_added": BATCH_SIZE - 1}
        assert self.compare(seconds=2, clock=Clock()) == {"waiting": 1}

    def test_date_field_that_was_not_there_before(self):
        """A position by other fields is not used: the comparison starts again."""
        Order.objects.bulk_create(Order(number=f"{at}") for at in range(BATCH_SIZE + 1))
        adapter = get_adapter(Order)
        self.addCleanup(vars(adapter).pop, "date_field", None)
        adapter.date_field = ""
        # This is the time for one page of each model.
        assert self.compare(seconds=2, clock=Clock()) == {"not_added": BATCH_SIZE}
        del adapter.date_field

        self.compare()

        assert ButtonOrder.objects.count() == BATCH_SIZE + 1

    def test_each_model_has_its_share_of_the_time(self):
        self.write(BATCH_SIZE + 1)
        self.write_pages(BATCH_SIZE + 1)

        counts = self.compare(seconds=2, clock=Clock())

        assert counts == {
            "missing": BATCH_SIZE,
            "fixed": BATCH_SIZE,
            "not_added": BATCH_SIZE,
        }
