from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from django_button_orders.models import ButtonOrder
from tests.delivery.utils import DeliveryTestCase
from tests.utils import (
    add_answer,
    calls,
    create_row,
    seconds_from_now,
)


class ScheduleTests(DeliveryTestCase):
    def test_first_wait(self):
        row = create_row()
        add_answer("POST", status=503)

        delay = self.report(row)

        assert 5 <= delay <= 6
        assert 4 <= seconds_from_now(row.next_attempt_at) <= 6

    def test_later_waits_grow(self):
        row = create_row()
        ButtonOrder.objects.update(attempts=3, unanswered=0)
        add_answer("POST", status=503)

        assert 600 <= self.report(row) <= 720

    def test_exhausted(self):
        row = create_row()
        ButtonOrder.objects.update(attempts=13)
        add_answer("POST", status=503)

        assert self.report(row) is None

        assert self.state(row) == ("failed", "exhausted")
        assert "503" in row.last_error
        assert row.next_attempt_at is None
        assert row.submissions.get().outcome == "failed"

    def test_row_that_kills_its_worker_ends(self):
        row = create_row()
        ButtonOrder.objects.update(attempts=14)

        self.report(row)

        assert calls() == []
        assert self.state(row) == ("failed", "exhausted")

    def test_retry_after_seconds(self):
        row = create_row()
        add_answer("POST", status=429, headers={"Retry-After": "240"})

        assert 240 <= self.report(row) <= 288

    def test_retry_after_date(self):
        row = create_row()
        then = timezone.now() + timedelta(hours=1)
        date = then.strftime("%a, %d %b %Y %H:%M:%S GMT")
        add_answer("POST", status=503, headers={"Retry-After": date})

        assert 3590 <= self.report(row) <= 4330

    def test_retry_after_is_capped(self):
        row = create_row()
        add_answer("POST", status=429, headers={"Retry-After": "99999999"})

        assert self.report(row) == 86400

    def test_limit_reset(self):
        row = create_row()
        headers = {"X-Button-Limit-Reset-Seconds": "60"}
        add_answer("POST", status=429, headers=headers)

        assert 60 <= self.report(row) <= 72

    def test_not_due_yet(self):
        row = create_row()
        add_answer("POST", status=503)
        self.report(row)

        assert self.report(row) is None

        assert len(calls()) == 1

    def test_change_does_not_wait(self):
        row = create_row()
        add_answer("POST", status=503)
        self.report(row)
        row.total = 1
        row.save()

        assert row.attempts == 0
        assert seconds_from_now(row.next_attempt_at) <= 0
