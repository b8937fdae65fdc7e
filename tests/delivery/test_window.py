from __future__ import annotations

from datetime import datetime, timedelta, timezone

import responses
from django.test import SimpleTestCase, override_settings

from django_button_orders import signals
from django_button_orders.delivery.sweep import report_due
from django_button_orders.delivery.window import read_end
from django_button_orders.models import ButtonOrder, as_aware
from tests.delivery.utils import DeliveryTestCase
from tests.frozen import frozen
from tests.utils import (
    NOT_FOUND,
    ORDERS_URL,
    add_answer,
    button_settings,
    calls,
    create_row,
    make_due,
    order_url,
)

LATER = "2096-12-01T12:00:00Z"
YESTERDAY = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=1)
IN_30_DAYS = timedelta(days=30)
MINUTE = timedelta(minutes=1)


def shown(**order):
    return {"meta": {"status": "ok"}, "object": order}


def utc(*args):
    return datetime(*args, tzinfo=timezone.utc)


def is_near(moment, other):
    return abs(as_aware(moment) - other) < MINUTE


class ReadEndTests(SimpleTestCase):
    def test_both_names(self):
        for name in ("finalization_date", "finalized_date"):
            assert read_end({name: "2096-12-01T12:00:00Z"}) == utc(2096, 12, 1, 12)

    def test_first_name_counts(self):
        order = {"finalized_date": "2096-01-01T00:00:00Z", "finalization_date": LATER}

        assert read_end(order) == utc(2096, 12, 1, 12)
        assert read_end({**order, "finalization_date": None}) == utc(2096, 1, 1)

    def test_zones(self):
        for text, expected in {
            "2096-12-01T12:00:00": utc(2096, 12, 1, 12),
            "2096-12-01T12:00:00+02:00": utc(2096, 12, 1, 10),
            "2096-12-01T23:30:00.123456-01:00": utc(2096, 12, 2, 0, 30, 0, 123456),
        }.items():
            assert read_end({"finalization_date": text}) == expected

    def test_rubbish(self):
        for value in (
            *(None, "", "soon", 0, 4_000_000_000, True, [], {}, ["2096-12-01"]),
            *("2096-13-01T00:00:00Z", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
            *("9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"),
            *("99999-01-01T00:00:00Z", "2096-12-01T25:00:00Z"),
        ):
            with self.subTest(value=value):
                assert read_end({"finalization_date": value}) is None


class EndTests(DeliveryTestCase):
    """When the change window ends, as the row says."""

    def report_with(self, **order):
        row = create_row()
        add_answer("POST", json=shown(**order))
        self.report(row)
        return as_aware(row.finalizes_at)

    def test_create(self):
        assert self.report_with(finalization_date=LATER) == utc(2096, 12, 1, 12)

    def test_other_name(self):
        assert self.report_with(finalized_date=LATER) == utc(2096, 12, 1, 12)

    def test_unknown(self):
        assert self.report_with() is None

    def test_rubbish(self):
        assert self.report_with(finalization_date="9999-12-31T23:59:59-12:00") is None

    def test_update_moves_it(self):
        row = self.create_acknowledged()
        add_answer("POST", order_url(), json=shown(finalization_date=LATER))
        row.total = 1
        row.save()
        self.report(row)

        assert as_aware(row.finalizes_at) == utc(2096, 12, 1, 12)

    def test_update_without_a_date_leaves_it(self):
        row = create_row()
        add_answer("POST", json=shown(finalization_date=LATER))
        self.report(row)
        add_answer("POST", order_url())
        row.total = 1
        row.save()
        self.report(row)

        assert row.status == "reported"
        assert as_aware(row.finalizes_at) == utc(2096, 12, 1, 12)

    def test_question(self):
        """The attempt ends in a failure, but Button has shown the date."""
        row = create_row()
        ButtonOrder.objects.update(unanswered=1)
        order = {"purchase_date": "2026-11-01T12:00:00Z", "finalization_date": LATER}
        add_answer("GET", order_url(), json=shown(**order))
        add_answer("POST", order_url(), status=400, json=NOT_FOUND)
        self.report(row)

        assert row.status == "failed"
        assert as_aware(row.finalizes_at) == utc(2096, 12, 1, 12)

    def test_order_of_another_shop(self):
        row = create_row()
        add_answer("POST", status=409, json=NOT_FOUND)
        order = {"purchase_date": "2020-01-01T12:00:00Z", "finalization_date": LATER}
        add_answer("GET", order_url(), json=shown(**order))
        self.report(row)

        assert row.reason == "taken"
        assert row.finalizes_at is None

    def test_date_of_the_shop(self):
        row = create_row(finalization_date=utc(2096, 5, 1))
        add_answer("POST")
        self.report(row)

        assert as_aware(row.finalizes_at) == utc(2096, 5, 1)

    def test_button_knows_better_than_the_shop(self):
        row = create_row(finalization_date=utc(2096, 5, 1))
        add_answer("POST", json=shown(finalization_date=LATER))
        self.report(row)

        assert as_aware(row.finalizes_at) == utc(2096, 12, 1, 12)

    def test_refused_date_of_the_shop(self):
        row = create_row(finalization_date=utc(2096, 5, 1))
        add_answer("POST", status=400, json=NOT_FOUND)
        self.report(row)

        assert row.finalizes_at is None

    def test_created_again(self):
        """Button has lost the order, and with it the end of its window."""
        row = create_row()
        add_answer("POST", json=shown(finalization_date=LATER))
        self.report(row)
        responses.reset()
        add_answer("POST", order_url(), status=404, json=NOT_FOUND)
        add_answer("POST")
        row.total = 1
        row.save()
        self.report(row)

        assert row.status == "reported"
        assert row.finalizes_at is None

    def test_batch(self):
        """Some answers of a batch have the date, and others have not."""
        for number in range(6):
            create_row(order_id=f"{number}")
        for number in range(6):
            order = {"finalization_date": LATER} if number % 2 else {}
            add_answer("POST", json=shown(**order))
        with override_settings(
            BUTTON_ORDERS=button_settings(FINALIZATION_DAYS=30, CONCURRENCY=1)
        ):
            report_due(using="default")

        ends = sorted(
            as_aware(end)
            for end in ButtonOrder.objects.values_list("finalizes_at", flat=True)
        )
        in_30_days = datetime.now(timezone.utc) + IN_30_DAYS
        assert all(is_near(end, in_30_days) for end in ends[:3])
        assert ends[3:] == [utc(2096, 12, 1, 12)] * 3


@override_settings(
    BUTTON_ORDERS=button_settings(
        FINALIZATION_DAYS=30,
        ACCOUNTS={
            "eu": {"API_KEY": "sk-eu", "FINALIZATION_DAYS": 0.5},
            "us": {"API_KEY": "sk-us", "FINALIZATION_DAYS": None},
        },
    )
)
class FinalizationDaysTests(DeliveryTestCase):
    def test_first_report(self):
        row = self.create_acknowledged()

        assert is_near(row.finalizes_at, datetime.now(timezone.utc) + IN_30_DAYS)

    def test_button_knows_better(self):
        row = create_row()
        add_answer("POST", json=shown(finalization_date=LATER))
        self.report(row)

        assert as_aware(row.finalizes_at) == utc(2096, 12, 1, 12)

    def test_later_reports_leave_it(self):
        row = self.create_changed()
        ButtonOrder.objects.update(finalizes_at=utc(2096, 1, 1))
        add_answer("POST", order_url())
        self.report(row)

        assert row.status == "reported"
        assert as_aware(row.finalizes_at) == utc(2096, 1, 1)

    def test_cancelled_before_it_was_ever_sent(self):
        row = create_row()
        row.cancel()
        self.report(row)

        assert row.status == "cancelled"
        assert row.finalizes_at is None
        assert row.reported_total is None

    def test_accounts_of_one_batch(self):
        for account in ("default", "eu", "us"):
            for number in range(2):
                create_row(order_id=f"{number}", account=account)
        add_answer("POST")
        report_due(using="default")

        now = datetime.now(timezone.utc)
        for row in ButtonOrder.objects.all():
            days = {"default": 30, "eu": 0.5, "us": None}[row.account]
            assert row.status == "reported"
            if days is None:
                assert row.finalizes_at is None
            else:
                assert is_near(row.finalizes_at, now + timedelta(days=days))


class ReportedTotalTests(DeliveryTestCase):
    def test_each_acknowledgement(self):
        row = self.create_acknowledged()
        assert row.reported_total == 7000
        add_answer("POST", order_url())
        add_answer("DELETE", order_url())

        row.total = 6000
        row.save()
        row.refresh_from_db()
        assert row.reported_total == 7000
        self.report(row)
        assert row.reported_total == 6000

        row.cancel()
        self.report(row)
        assert row.reported_total == 0

    def test_nothing_acknowledged(self):
        row = create_row()
        add_answer("POST", status=400, json=NOT_FOUND)
        self.report(row)

        assert row.reported_total is None


class ClosedTests(DeliveryTestCase):
    """A change that comes after the known end of the change window."""

    def setUp(self):
        super().setUp()
        self.row = self.create_acknowledged(customer={"id": "u-77"})
        self.end(YESTERDAY)

    def end(self, moment):
        ButtonOrder.objects.update(finalizes_at=moment)
        self.row.refresh_from_db()

    def change(self, **values):
        for name, value in values.items():
            setattr(self.row, name, value)
        self.row.save()
        self.report(self.row)

    def test_update(self):
        self.change(total=5000)

        assert calls() == []
        assert self.state(self.row) == ("closed", "finalized")
        assert self.row.late_amount == 2000
        assert (self.row.total, self.row.reported_total) == (5000, 7000)
        assert self.row.next_attempt_at is None
        end = YESTERDAY.isoformat().replace("+00:00", "Z")
        assert self.row.last_error == (
            f"Button accepted changes until {end}. This change came later."
        )
        assert not self.row.submissions.filter(operation="update").exists()

    def test_higher_total(self):
        self.change(total=9000)

        assert self.row.late_amount == -2000

    def test_cancel(self):
        self.row.cancel()
        self.report(self.row)

        assert calls() == []
        assert self.state(self.row) == ("closed", "finalized")
        assert self.row.late_amount == 7000
        assert self.row.total == 7000

    def test_cancel_of_a_closed_order(self):
        self.change(total=5000)

        assert self.row.cancel() is True
        self.report(self.row)

        assert calls() == []
        assert self.state(self.row) == ("closed", "finalized")
        assert self.row.late_amount == 7000

    def test_change_of_the_customer_alone(self):
        self.change(customer={"id": "anonymous"})

        assert calls() == []
        assert self.state(self.row) == ("reported", "")
        assert self.row.has_refused_customer
        assert (self.row.reported_total, self.row.late_amount) == (7000, None)

    def test_change_back(self):
        self.change(total=5000)

        self.change(total=7000)

        assert calls() == []
        assert self.state(self.row) == ("reported", "")
        assert self.row.late_amount is None

    def test_another_change(self):
        self.change(total=5000)

        self.change(total=4000)

        assert calls() == []
        assert self.state(self.row) == ("closed", "finalized")
        assert self.row.late_amount == 3000

    def test_change_in_time(self):
        self.end(datetime.now(timezone.utc) + MINUTE)
        add_answer("POST", order_url())

        self.change(total=5000)

        assert self.state(self.row) == ("reported", "")

    def test_clock_of_the_worker_is_fast(self):
        """The database's clock counts, so a wrong clock withholds no change."""
        self.end(datetime.now(timezone.utc) + MINUTE)
        add_answer("POST", order_url())

        self.row.total = 5000
        self.row.save()
        with frozen(datetime.now(timezone.utc) + IN_30_DAYS, is_monotonic_frozen=False):
            self.report(self.row)

        assert self.state(self.row) == ("reported", "")

    def test_clock_of_the_worker_is_slow(self):
        add_answer("POST", order_url(), status=403, json=NOT_FOUND)

        self.row.total = 5000
        self.row.save()
        with frozen(datetime.now(timezone.utc) - IN_30_DAYS, is_monotonic_frozen=False):
            self.report(self.row)

        assert self.state(self.row) == ("closed", "finalized")
        assert self.row.late_amount == 2000

    def test_created_orders_alone_are_late(self):
        """The date is of no order that Button has acknowledged."""
        create_row(order_id="1995", finalizes_at=YESTERDAY)
        add_answer("POST")

        report_due(using="default")

        assert ButtonOrder.objects.get(order_id="1995").status == "reported"

    def test_retry_asks_button_again(self):
        self.change(total=5000)
        add_answer("POST", order_url(), status=403, json=NOT_FOUND)

        assert self.row.retry() is True
        self.row.refresh_from_db()
        assert self.row.finalizes_at is None
        self.report(self.row)

        assert calls() == ["POST /v1/order/1994"]
        assert self.state(self.row) == ("closed", "finalized")
        assert self.row.last_error == "Button answered 403 to update: No such order."
        assert self.row.late_amount == 2000
        assert self.row.submissions.latest("pk").outcome == "failed"

    def test_retry_after_button_extended_the_window(self):
        self.change(total=5000)
        add_answer("POST", order_url(), json=shown(finalization_date=LATER))

        self.row.retry()
        self.report(self.row)

        assert self.state(self.row) == ("reported", "")
        assert self.row.late_amount is None
        assert self.row.reported_total == 5000
        assert as_aware(self.row.finalizes_at) == utc(2096, 12, 1, 12)

    def test_many_at_once(self):
        """They are recorded with one statement."""
        add_answer("POST")
        for number in range(3):
            create_row(order_id=f"{number}")
        report_due(using="default")
        responses.calls.reset()
        ButtonOrder.objects.update(finalizes_at=YESTERDAY)
        ButtonOrder.objects.filter(order_id="0").update(reported_total=None)
        for row in ButtonOrder.objects.all():
            row.total = 6999
            row.save()

        report_due(using="default")

        assert calls() == []
        found = ButtonOrder.objects.values_list("order_id", "status", "late_amount")
        assert {key: value for key, *value in found} == {
            "1994": ["closed", 1],
            "0": ["closed", None],
            "1": ["closed", 1],
            "2": ["closed", 1],
        }

    def test_no_signal(self):
        sent = []

        def receive(sender, **values):
            sent.append(values)

        for signal in (
            signals.order_failed,
            signals.order_reported,
            signals.order_cancelled,
        ):
            signal.connect(receive)
            self.addCleanup(signal.disconnect, receive)
        with self.assertLogs("django_button_orders", "INFO") as logs:
            self.change(total=5000)

        assert sent == []
        assert [(record.levelname, record.getMessage()) for record in logs.records] == [
            ("INFO", "Order 1994: closed (finalized)")
        ]


@override_settings(USE_TZ=False, TIME_ZONE="America/New_York")
class LocalTimeTests(DeliveryTestCase):
    def test_end(self):
        row = create_row()
        add_answer("POST", json=shown(finalization_date=LATER))
        self.report(row)

        assert row.finalizes_at == datetime(2096, 12, 1, 7)
        # The same end is no news, and not written again.
        add_answer("POST", order_url(), json=shown(finalization_date=LATER))
        row.total = 1
        row.save()
        self.report(row)
        assert as_aware(row.finalizes_at) == utc(2096, 12, 1, 12)

    def test_last_minute(self):
        """Four or five hours are between the clocks."""
        now = datetime.now(timezone.utc)
        for order_id, end in (("1", now - MINUTE), ("2", now + MINUTE)):
            add_answer("POST", json=shown(finalization_date=end.isoformat()))
            row = create_row(order_id=order_id)
            self.report(row)
            add_answer("POST", order_url(order_id))
            row.total = 1
            row.save()
            self.report(row)
            responses.reset()

        statuses = ButtonOrder.objects.values_list("order_id", "status")
        assert dict(statuses) == {"1": "closed", "2": "reported"}


class DoubtTests(DeliveryTestCase):
    """A change got no answer, so Button may have it. The next one is too late."""

    CALLS = ["POST /v1/order/1994", "GET /v1/order/1994"]

    def setUp(self):
        super().setUp()
        self.row = self.create_acknowledged()
        add_answer("POST", order_url(), status=503)
        self.row.total = 5000
        self.row.save()
        self.report(self.row)
        assert self.row.status == "pending"
        responses.reset()
        responses.calls.reset()
        ButtonOrder.objects.update(finalizes_at=YESTERDAY)
        make_due()
        add_answer("POST", order_url(), status=403, json=NOT_FOUND)

    def ask(self, **answer):
        add_answer("GET", order_url(), **answer)
        self.report(self.row)
        assert calls() == self.CALLS
        assert self.state(self.row) == ("closed", "finalized")
        assert self.row.last_error == "Button answered 403 to update: No such order."
        assert self.row.last_status_code == 403

    def amounts(self):
        return self.row.reported_total, self.row.late_amount

    def test_button_has_the_earlier_change(self):
        add_answer("GET", order_url(), json=shown(total=5000))
        self.report(self.row)

        assert calls() == self.CALLS
        assert self.state(self.row) == ("reported", "")
        assert self.amounts() == (5000, None)
        assert self.row.unanswered == 0
        outcomes = self.row.submissions.order_by("pk").values_list("outcome", flat=True)
        assert list(outcomes)[-2:] == ["will_retry", "succeeded"]

    def test_button_has_an_earlier_one_of_two_changes(self):
        """The second may have changed other values, which Button does not show."""
        self.row.refresh_from_db()
        self.row.customer_order_id = "C-1"
        self.row.save()
        self.ask(json=shown(total=5000))

        assert self.amounts() == (5000, 0)

    def test_same_total_says_nothing(self):
        """It is not known which total Button had before the change."""
        ButtonOrder.objects.update(reported_total=None)
        self.ask(json=shown(total=5000))

        assert self.amounts() == (5000, 0)

    def test_button_has_the_earlier_cancellation(self):
        responses.reset()
        self.row.cancel()
        add_answer("DELETE", order_url(), status=403, json=NOT_FOUND)
        add_answer("GET", order_url(), json=shown(status="deleted"))
        self.report(self.row)

        assert calls() == ["DELETE /v1/order/1994", "GET /v1/order/1994"]
        assert self.state(self.row) == ("cancelled", "")

    def test_button_does_not_have_it(self):
        self.ask(json=shown(total=7000, finalization_date=LATER))

        assert self.amounts() == (7000, 2000)
        assert as_aware(self.row.finalizes_at) == utc(2096, 12, 1, 12)

    def test_button_has_cancelled_it(self):
        self.ask(json=shown(total=7000, status="deleted"))

        assert self.amounts() == (0, -5000)

    def test_button_does_not_say(self):
        """No amount is better than a wrong one."""
        for answer in ({"status": 503}, {"json": shown()}, {"status": 404}):
            with self.subTest(answer):
                self.ask(**answer)

                assert self.amounts() == (None, None)
            responses.remove("GET", order_url())
            responses.calls.reset()
            ButtonOrder.objects.mark_changed()
            ButtonOrder.objects.update(unanswered=1)

    def test_decimals_are_not_read(self):
        with override_settings(BUTTON_ORDERS=button_settings(TOTAL_AS_DECIMAL=True)):
            self.ask(json=shown(total=70))

        assert self.amounts() == (None, None)

    def test_record_of_the_calls(self):
        self.ask(json=shown(total=7000))

        outcomes = self.row.submissions.order_by("pk").values_list(
            "operation", "outcome", "error"
        )
        refused = "Button answered 403 to update: No such order."
        assert list(outcomes)[-2:] == [
            ("update", "failed", refused),
            ("retrieve", "succeeded", ""),
        ]
        # Button still may have the earlier change, so a change back makes a call.
        assert self.row.unanswered == 1


class ForbiddenTests(DeliveryTestCase):
    """Button's 403 is the proof if no date is known."""

    def refuse(self, method, row, **answer):
        answer.setdefault("json", NOT_FOUND)
        add_answer(method, order_url(), status=403, **answer)
        self.report(row)

    def test_update(self):
        row = self.create_changed()
        self.refuse("POST", row)

        assert self.state(row) == ("closed", "finalized")
        assert row.late_amount == 1000
        assert row.finalizes_at is None
        assert row.last_error == "Button answered 403 to update: No such order."

    def test_cancel(self):
        row = self.create_cancelled()
        self.refuse("DELETE", row)

        assert self.state(row) == ("closed", "finalized")
        assert row.late_amount == 7000

    def test_refusal_disproves_a_date(self):
        """Else the pages would say that the order can be changed."""
        soon = datetime.now(timezone.utc) + MINUTE
        for customer, status in (({"id": "u-78"}, "reported"), ({}, "closed")):
            ButtonOrder.objects.all().delete()
            row = self.create_acknowledged(customer={"id": "u-77"})
            row.customer, row.finalizes_at = customer, soon
            row.total = 7000 if customer else 5000
            row.save()
            self.refuse("POST", row)

            assert row.status == status
            assert row.finalizes_at is None

    def test_refusal_keeps_a_past_date(self):
        row = self.create_changed()
        ButtonOrder.objects.update(finalizes_at=YESTERDAY, unanswered=1)
        add_answer("GET", order_url(), json=shown(total=7000))
        self.refuse("POST", row)

        assert as_aware(row.finalizes_at) == YESTERDAY

    def test_text(self):
        row = self.create_changed()
        self.refuse("POST", row, body="Finalized.", content_type="text/plain")

        assert self.state(row) == ("closed", "finalized")

    def test_page_of_a_firewall(self):
        page = "<html><body>Blocked</body></html>"
        for method, create in (
            ("POST", self.create_changed),
            ("DELETE", self.create_cancelled),
        ):
            ButtonOrder.objects.all().delete()
            row = create()
            self.refuse(method, row, body=page, content_type="text/html")

            assert self.state(row) == ("pending", "unavailable")
            assert row.late_amount is None

    def test_later_change_asks_again(self):
        row = self.create_changed()
        self.refuse("POST", row)
        responses.reset()
        add_answer("POST", order_url())

        row.total = 6500
        row.save()
        self.report(row)

        assert self.state(row) == ("reported", "")
        assert row.late_amount is None

    def test_nothing_was_acknowledged(self):
        """Button has the order by an attempt without an answer."""
        row = create_row()
        ButtonOrder.objects.update(unanswered=1)
        order = {"purchase_date": "2026-11-01T12:00:00Z", "total": 9000}
        add_answer("GET", order_url(), json=shown(**order))
        self.refuse("POST", row)

        assert calls() == ["GET /v1/order/1994", "POST /v1/order/1994"]
        assert self.state(row) == ("closed", "finalized")
        assert (row.reported_total, row.late_amount) == (9000, 2000)

    def test_order_changed_during_the_call(self):
        row = self.create_changed()

        def change(request):
            ButtonOrder.objects.mark_changed(total=5000)
            return 403, {}, "{}"

        responses.add_callback("POST", order_url(), change)
        self.report(row)

        assert self.state(row) == ("pending", "")
        assert row.late_amount is None

    def test_create(self):
        """A create that is forbidden is a matter of rights."""
        row = create_row()
        add_answer("POST", ORDERS_URL, status=403, json=NOT_FOUND)
        self.report(row)

        assert self.state(row) == ("pending", "unauthorized")
