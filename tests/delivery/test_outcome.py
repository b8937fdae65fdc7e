from __future__ import annotations

from datetime import timedelta

import responses
from django.test import SimpleTestCase, override_settings
from django.utils import timezone

from django_button_orders.client import Answer, NoAnswerError, NotSentError
from django_button_orders.delivery.attempt import Attempt, Call
from django_button_orders.delivery.desired import Desired
from django_button_orders.delivery.outcome import find_outcome
from django_button_orders.delivery.sweep import report_due
from django_button_orders.delivery.verdicts import judge
from django_button_orders.models import ButtonOrder
from tests.delivery.utils import DeliveryTestCase, good_report
from tests.utils import (
    ORDERS_URL,
    PURCHASED,
    add_answer,
    button_settings,
    calls,
    create_row,
    seconds_from_now,
)


@override_settings(BUTTON_ORDERS=button_settings())
class UnansweredTests(SimpleTestCase):
    """How many attempts have an effect that is not known, the last one included."""

    def unanswered_after(self, before, *calls):
        attempt = Attempt(
            row=create_unsaved(unanswered=before),
            lease_ends=0,
            desired=Desired(order_id="1994", report=good_report(order_id="1994")),
        )
        for operation, answer in calls:
            if isinstance(answer, int):
                answer = Answer(status_code=answer)
            attempt.calls.append(create_call(operation, answer))
            attempt.verdict = judge(operation, answer)
        return find_outcome(attempt).values["unanswered"]

    def test_each_end(self):
        lost, unsent = NoAnswerError("Lost."), NotSentError("Refused.")
        cases = [
            # The claim has counted the attempt, so the first one comes with 1.
            (1, 0, [("create", 200)]),
            (1, 0, [("create", 400)]),
            (1, 0, [("create", 401)]),
            (1, 0, [("create", unsent)]),
            (1, 1, [("create", 503)]),
            (1, 1, [("create", lost)]),
            # A retrieve has no effect, and its answer tells of earlier creates.
            (3, 2, [("retrieve", 401)]),
            (3, 2, [("retrieve", 503)]),
            (3, 2, [("retrieve", lost)]),
            (3, 0, [("retrieve", 404), ("create", 400)]),
            (3, 0, [("retrieve", 200), ("update", 200)]),
            (3, 3, [("retrieve", 200), ("update", lost)]),
            # An error of an update says nothing about earlier attempts.
            (3, 2, [("update", 400)]),
            (3, 3, [("update", 503)]),
            (3, 0, [("cancel", 404)]),
            # Nor does one that is refused with 409, whatever a question brings.
            (1, 0, [("create", 409), ("retrieve", 401)]),
            (1, 0, [("create", 409), ("retrieve", 503)]),
            (1, 0, [("create", 409), ("retrieve", lost)]),
            (1, 0, [("create", 409), ("retrieve", 302)]),
            # An update may have been applied, to an order that is ours.
            (1, 1, [("create", 409), ("retrieve", 200), ("update", 401)]),
            (1, 1, [("create", 409), ("retrieve", 200), ("update", lost)]),
            (1, 0, [("create", 409), ("retrieve", 200), ("update", 200)]),
        ]
        for before, after, made in cases:
            with self.subTest(before=before, calls=made):
                assert self.unanswered_after(before, *made) == after


def create_unsaved(**values):
    return ButtonOrder(order_id="1994", attempts=1, **values)


def create_call(operation, answer):
    return Call(
        operation=operation,
        method="POST",
        url=ORDERS_URL,
        request_body="",
        started_at=PURCHASED,
        answer=answer,
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


class SiteTests(DeliveryTestCase):
    """A row remembers the site whose report Button has acknowledged first."""

    def as_site(self, site):
        return override_settings(BUTTON_ORDERS=button_settings(SITE=site))

    def change(self, row):
        row.total += 1
        row.save()
        add_answer("POST", f"{ORDERS_URL}/1994")
        self.report(row)

    def test_first_acknowledgement(self):
        add_answer("POST")
        row = create_row()
        with self.as_site("live"):
            self.report(row)

        assert row.site == "live"

    def test_stays(self):
        add_answer("POST")
        row = create_row()
        with self.as_site("live"):
            self.report(row)
        ButtonOrder.objects.update(site="staging")
        with self.as_site("staging"):
            self.change(row)

        assert (row.status, row.site) == ("reported", "staging")

    def test_renamed_while_sending(self):
        add_answer("POST")
        row = create_row()
        with self.as_site("live"):
            self.report(row)

            def rename(request):
                ButtonOrder.objects.update(site="shop-eu")
                return 200, {}, b""

            responses.add_callback("POST", f"{ORDERS_URL}/1994", rename)
            row.total += 1
            row.save()
            self.report(row)

        assert (row.status, row.site) == ("reported", "shop-eu")

    def test_acknowledged_before_it_was_set(self):
        add_answer("POST")
        row = create_row()
        self.report(row)
        assert row.site == ""
        with self.as_site("live"):
            self.change(row)

        assert (row.status, row.site) == ("reported", "live")

    def test_without_an_acknowledgement(self):
        row = create_row()
        cancelled = create_row(order_id="2")
        cancelled.cancel()
        add_answer("POST", status=400)
        with self.as_site("live"):
            self.report(row)
            self.report(cancelled)

        assert (row.status, row.site) == ("failed", "")
        assert (cancelled.status, cancelled.site) == ("cancelled", "")

    def test_without_a_call(self):
        add_answer("POST")
        row = create_row()
        self.report(row)
        ButtonOrder.objects.mark_changed()
        with self.as_site("live"):
            self.report(row)

        assert (row.status, row.site, len(calls())) == ("reported", "", 1)

    def test_in_a_batch(self):
        add_answer("POST")
        for number in range(3):
            create_row(order_id=f"{number}")
        with self.as_site("live"):
            report_due(using="default")

        assert set(ButtonOrder.objects.values_list("status", "site")) == {
            ("reported", "live")
        }

    def test_copy_of_the_database(self):
        """Nothing is sent for what the live shop has reported."""
        add_answer("POST")
        row = create_row()
        with self.as_site("live"):
            self.report(row)
        row.total = 100
        row.save()
        responses.calls.reset()
        for site in ("", "staging"):
            with self.subTest(site=site), self.as_site(site):
                self.report(row)
                report_due(using="default")
                ButtonOrder.objects.update(status="failed")
                row.retry()
                self.report(row)
                row.cancel()
                report_due(using="default")

                assert calls() == []
                assert ButtonOrder.objects.get().status == "pending"
