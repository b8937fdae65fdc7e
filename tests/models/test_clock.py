from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import connection, connections, models
from django.test import SimpleTestCase, TestCase, override_settings

from django_button_orders.delivery.rate_limit import reserve_turns
from django_button_orders.models import ButtonOrder, CallRate, as_aware
from django_button_orders.models.bulk import bulk_sql_for
from django_button_orders.models.clock import DatabaseNow, from_now, read_now
from django_button_orders.models.fields import AwareDateTimeField
from tests.utils import button_settings, create_row, uses_psycopg2

SLACK = timedelta(minutes=1)
# In Chicago, both of these are half past one in the morning of November 1.
TWICE = [
    datetime(2026, 11, 1, 6, 30, tzinfo=timezone.utc),
    datetime(2026, 11, 1, 7, 30, tzinfo=timezone.utc),
]
MIDSUMMER = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)


def now():
    return datetime.now(timezone.utc)


class FieldTests(TestCase):
    def test_all_dates(self):
        """A plain DateTimeField stores local times where USE_TZ is false."""
        fields = [
            field
            for model in apps.get_app_config("django_button_orders").get_models()
            for field in model._meta.concrete_fields
            if isinstance(field, models.DateField)
        ]

        assert fields
        assert {type(field) for field in fields} == {AwareDateTimeField}


@override_settings(BUTTON_ORDERS=button_settings())
class MomentTests(TestCase):
    """What is written is read again, whatever the project's zone."""

    def test_round_trip(self):
        # psycopg2 does not say which of two moments a local time is.
        for use_tz in (True,) if uses_psycopg2() else (True, False):
            with self.subTest(USE_TZ=use_tz), override_settings(USE_TZ=use_tz):
                for at, moment in enumerate([*TWICE, MIDSUMMER]):
                    row = create_row(order_id=f"{use_tz}{at}", purchase_date=moment)

                    found = ButtonOrder.objects.get(purchase_date=moment, pk=row.pk)

                    assert as_aware(found.purchase_date) == moment
                    payload = found.as_report().as_payload()
                    assert payload["purchase_date"] == moment.strftime("%FT%TZ")
                    # Saving what was read changes nothing.
                    found.save()
                    found.refresh_from_db()
                    assert as_aware(found.purchase_date) == moment
                    found.delete()

    @override_settings(USE_TZ=False)
    def test_order_of_the_hour_that_comes_twice(self):
        for at, moment in enumerate(TWICE):
            create_row(order_id=f"{at}", purchase_date=moment)
        first, second = TWICE

        rows = ButtonOrder.objects.order_by("purchase_date")
        assert list(rows.values_list("order_id", flat=True)) == ["0", "1"]
        assert rows.filter(purchase_date__gt=first).get().order_id == "1"
        assert rows.filter(purchase_date__lt=second).get().order_id == "0"

    @override_settings(USE_TZ=False)
    def test_local_times(self):
        """As Django's own dates where USE_TZ is false."""
        row = create_row(purchase_date=datetime(2026, 7, 1, 7))

        row.refresh_from_db()

        assert row.purchase_date == datetime(2026, 7, 1, 7)
        assert as_aware(row.purchase_date) == MIDSUMMER
        assert ButtonOrder.objects.filter(purchase_date=datetime(2026, 7, 1, 7))

    @override_settings(USE_TZ=False)
    def test_written_in_bulk(self):
        row = create_row()
        names, values = ("account", "order_id", "purchase_date"), ("default", "2")
        shared = {"next_attempt_at": read_now("default")}
        bulk_sql_for("default").insert_orders(names, [(*values, TWICE[0])], shared)

        found = ButtonOrder.objects.exclude(pk=row.pk).get()

        assert as_aware(found.purchase_date) == TWICE[0]
        assert abs(as_aware(found.next_attempt_at) - now()) < SLACK

    def test_zone_of_the_database(self):
        """DATABASES[...]["TIME_ZONE"] is for the shop's own columns."""
        if connection.vendor == "postgresql":
            # It stores moments itself.
            return
        before = connection.settings_dict["TIME_ZONE"]
        self.addCleanup(connection.settings_dict.update, TIME_ZONE=before)
        self.addCleanup(forget_zone)
        connection.settings_dict["TIME_ZONE"] = "Asia/Tokyo"
        forget_zone()

        row = create_row(purchase_date=MIDSUMMER)

        row.refresh_from_db()
        assert row.purchase_date == MIDSUMMER
        assert abs(row.created_at - now()) < SLACK
        assert ButtonOrder.objects.due().get() == row


def forget_zone():
    """Have the connection read its time zone anew. ``connection`` is only a proxy."""
    for name in ("timezone", "timezone_name"):
        connections["default"].__dict__.pop(name, None)


def set_session_zone(zone):
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone = %s", [zone])


@override_settings(BUTTON_ORDERS=button_settings())
class DatabaseNowTests(TestCase):
    def read(self):
        rows = ButtonOrder.objects.annotate(now=DatabaseNow(), soon=from_now(60))
        return rows.values_list("now", "soon").get()

    def test_right_with_and_without_time_zones(self):
        create_row()
        # psycopg2 does not say which of two moments a local time is.
        for use_tz in (True,) if uses_psycopg2() else (True, False):
            with self.subTest(USE_TZ=use_tz), override_settings(USE_TZ=use_tz):
                found, _ = self.read()

                assert abs(as_aware(found) - now()) < SLACK

    def test_server_in_another_zone(self):
        create_row()
        if connection.vendor != "mysql":
            # Django sets the zone of PostgreSQL's session, and SQLite has none.
            return
        self.addCleanup(set_session_zone, "SYSTEM")
        set_session_zone("+09:00")
        # psycopg2 does not say which of two moments a local time is.
        for use_tz in (True,) if uses_psycopg2() else (True, False):
            with self.subTest(USE_TZ=use_tz), override_settings(USE_TZ=use_tz):
                found, _ = self.read()

                assert abs(as_aware(found) - now()) < SLACK

    @override_settings(USE_TZ=False)
    def test_defaults_and_leases(self):
        row = create_row()

        [claimed] = ButtonOrder.objects.claim(limit=1, lease_seconds=300)

        claimed.refresh_from_db()
        assert abs(as_aware(claimed.created_at) - now()) < SLACK
        lease = as_aware(claimed.lease_expires_at) - now()
        assert timedelta(minutes=4) < lease < timedelta(minutes=6)
        assert claimed == row

    @override_settings(USE_TZ=False, BUTTON_ORDERS=button_settings(RATE_LIMIT=1 / 3600))
    def test_turns(self):
        assert reserve_turns("default") == 0
        free_at = as_aware(CallRate.objects.get().next_call_at)
        assert abs(free_at - now() - timedelta(hours=1)) < SLACK
        assert 3500 < reserve_turns("default") <= 3600


@override_settings(USE_TZ=False)
class AsAwareTests(SimpleTestCase):
    def test_hour_that_comes_twice(self):
        for fold, moment in enumerate(TWICE):
            assert as_aware(datetime(2026, 11, 1, 1, 30, fold=fold)) == moment

    def test_end_of_the_calendar(self):
        """It is refused by its field, rather than here."""
        field = AwareDateTimeField(name="it")

        for value in (datetime.max, datetime.min):
            aware = as_aware(value)
            assert aware.tzinfo is not None
        with pytest.raises(ValidationError):
            field.get_db_prep_save(datetime.max, connection)
