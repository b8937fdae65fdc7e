from __future__ import annotations

from celery import Celery
from django.test import SimpleTestCase, override_settings

import tests.celery
from django_button_orders import beat_schedule
from django_button_orders.tasks.checks import check_celery

OTHER = {"backup": {"task": "shop.backup", "schedule": 60.0}}


class BeatScheduleTests(SimpleTestCase):
    """Django's settings have the periodic tasks; has the Celery app, too?"""

    def ids(self, namespace="CELERY", **settings):
        with override_settings(**settings):
            app = Celery("shop")
            self.addCleanup(tests.celery.app.set_current)
            app.config_from_object("django.conf:settings", namespace=namespace)
            return [message.id[-4:] for message in check_celery()]

    def test_read(self):
        schedule = {**OTHER, **beat_schedule()}

        assert self.ids(CELERY_BEAT_SCHEDULE=schedule) == []
        assert self.ids("JOBS", JOBS_BEAT_SCHEDULE=schedule) == []

    def test_not_read(self):
        schedule = {**OTHER, **beat_schedule()}

        for namespace, name in (
            ("", "CELERY_BEAT_SCHEDULE"),
            ("JOBS", "CELERY_BEAT_SCHEDULE"),
            ("CELERY", "BEAT_SCHEDULE"),
        ):
            with self.subTest(namespace=namespace, name=name):
                assert self.ids(namespace, **{name: schedule}) == ["W014"]

    def test_not_ours(self):
        for schedule in (OTHER, {}, None, {"odd": None}, "odd"):
            with self.subTest(schedule=schedule):
                assert self.ids("JOBS", CELERY_BEAT_SCHEDULE=schedule) == []

    def test_nothing_set(self):
        """As where beat is not used, but 'button_orders_report --loop'."""
        assert self.ids() == []
