from __future__ import annotations

from celery import Celery
from django.test import SimpleTestCase, override_settings

import tests.celery
from django_button_orders import beat_schedule
from django_button_orders.tasks.checks import check_celery
from tests.utils import button_settings

TASK = "django_button_orders.report_due_orders"
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


class TimeLimitTests(SimpleTestCase):
    def ids(self, annotations=None, **options):
        found = self.messages(annotations, **options)
        return [message.id[-4:] for message in found]

    def messages(self, annotations=None, lease_seconds=120, **conf):
        with override_settings(
            BUTTON_ORDERS=button_settings(LEASE_SECONDS=lease_seconds),
            CELERY_TASK_ANNOTATIONS=annotations,
        ):
            app = Celery("shop")
            self.addCleanup(tests.celery.app.set_current)
            app.conf.update(task_annotations=annotations, **conf)
            return check_celery()

    def test_limits_of_all_tasks_do_not_count(self):
        assert self.ids() == []
        assert self.ids(task_time_limit=5, task_soft_time_limit=3) == []

    def test_annotations(self):
        for given, found in (
            ({"*": {"time_limit": 60}}, ["W016"]),
            ({TASK: {"time_limit": 600, "soft_time_limit": 60}}, ["W016"]),
            ({TASK: {"time_limit": 600}}, []),
            ({TASK: {"time_limit": None}}, []),
            ({"shop.tasks.mail": {"time_limit": 5}}, []),
        ):
            with self.subTest(given=given):
                assert self.ids(given) == found

    def test_limit_of_a_second(self):
        [message] = self.messages({TASK: {"soft_time_limit": 1}})

        assert "but Celery ends it after 1 second. " in message.msg

    def test_long_lease(self):
        assert self.ids(lease_seconds=3000) == []
        assert self.ids(lease_seconds=3600) == ["W016"]
