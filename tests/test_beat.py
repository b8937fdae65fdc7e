from __future__ import annotations

from django.test import SimpleTestCase

from django_button_orders import beat_schedule
from django_button_orders.tasks import (
    prune_submissions,
    reconcile_orders,
    report_due_orders,
)
from tests.celery import app

DAY = 86400.0


class BeatScheduleTests(SimpleTestCase):
    def test_default(self):
        assert beat_schedule() == {
            "button-orders-report-due": {
                "task": "django_button_orders.report_due_orders",
                "schedule": 30.0,
                "options": {"expires": 30.0, "expire_seconds": 30},
            },
            "button-orders-reconcile": {
                "task": "django_button_orders.reconcile_orders",
                "schedule": 300.0,
                "options": {"expires": 300.0, "expire_seconds": 300},
            },
            "button-orders-prune": {
                "task": "django_button_orders.prune_submissions",
                "schedule": DAY,
                "options": {"expires": DAY, "expire_seconds": DAY},
            },
        }

    def test_other_interval(self):
        schedule = beat_schedule(sweep_seconds=300)

        assert schedule["button-orders-report-due"]["schedule"] == 300.0
        options = schedule["button-orders-report-due"]["options"]
        assert options == {"expires": 300.0, "expire_seconds": 300}
        assert schedule["button-orders-prune"]["schedule"] == DAY

    def test_seconds_of_django_celery_beat(self):
        """Its column takes integers above 0."""
        for seconds, expected in ((0.5, 1), (1, 1), (29.1, 30)):
            entry = beat_schedule(sweep_seconds=seconds)["button-orders-report-due"]

            found = entry["options"]["expire_seconds"]
            assert (type(found), found) == (int, expected)

    def test_tasks_exist(self):
        names = [entry["task"] for entry in beat_schedule().values()]

        assert names == [
            report_due_orders.name,
            reconcile_orders.name,
            prune_submissions.name,
        ]
        assert all(name in app.tasks for name in names)

    def test_entries_are_not_shared(self):
        beat_schedule()["button-orders-prune"]["options"].clear()

        assert beat_schedule()["button-orders-prune"]["options"]
