from __future__ import annotations

from datetime import timedelta

from django.core.management import call_command
from django.core.management.sql import emit_post_migrate_signal
from django.test import TestCase, TransactionTestCase, override_settings

from django_button_orders.models import ButtonOrder, Checkpoint
from django_button_orders.models.checkpoints import FIRST_AT_WORK
from django_button_orders.models.databases import store_first_work
from tests.management.test_migrate import EmptyTestCase
from tests.utils import LONG_AGO, button_settings, create_row, set_first_at_work


def migrate(alias):
    emit_post_migrate_signal(verbosity=0, interactive=False, db=alias)


def stored(alias):
    """Return the stored moment, without storing one."""
    checkpoints = Checkpoint.objects.using(alias).filter(name=FIRST_AT_WORK)
    return checkpoints.values_list("started_at", flat=True).first()


@override_settings(BUTTON_ORDERS=button_settings())
class FirstAtWorkTests(TestCase):
    databases = {"default", "archive"}

    def test_migration_stores_it_in_each_database(self):
        assert stored("default") is not None
        assert stored("archive") is not None

    def test_by_the_clock_of_the_database(self):
        Checkpoint.objects.all().delete()

        migrate("default")

        row = create_row()
        row.refresh_from_db()
        assert abs(row.created_at - stored("default")) < timedelta(minutes=5)
        assert Checkpoint.objects.first_at_work() == stored("default")

    def test_never_moves(self):
        set_first_at_work(LONG_AGO)

        migrate("default")

        assert Checkpoint.objects.first_at_work() == LONG_AGO

    def test_database_that_has_rows(self):
        Checkpoint.objects.all().delete()
        create_row(order_id="1")
        ButtonOrder.objects.update(created_at=LONG_AGO)
        create_row(order_id="2")

        migrate("default")

        assert stored("default") == LONG_AGO

    @override_settings(DATABASE_ROUTERS=["tests.utils.NoArchiveRouter"])
    def test_database_that_a_router_leaves_out(self):
        Checkpoint.objects.using("archive").all().delete()

        migrate("archive")

        assert stored("archive") is None


class EmptyTests(EmptyTestCase):
    def test_database_without_the_tables(self):
        """The signal is also sent after the tables were removed."""
        store_first_work(using="empty")


class FlushTests(TransactionTestCase):
    def test_flush(self):
        set_first_at_work(LONG_AGO)

        call_command("flush", interactive=False, verbosity=0)

        assert stored("default") > LONG_AGO
