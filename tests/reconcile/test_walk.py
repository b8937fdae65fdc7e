from __future__ import annotations

import threading
from datetime import datetime, timezone

import pytest
import responses
from django.test import TestCase, override_settings

from django_button_orders.models import ButtonOrder, PausedAccount, Submission
from django_button_orders.reconcile.samples import (
    after_partial_return,
    as_sample,
    make_fake_token,
    make_order,
)
from django_button_orders.reconcile.walk import WAITS, Walk
from django_button_orders.report.objects import without_btn_ref
from tests.reconcile.utils import ButtonTestCase, Waits
from tests.utils import NOT_FOUND, OK, add_answer, button_settings, calls, order_url

NOW = datetime(2026, 11, 30, 12, tzinfo=timezone.utc)
CREATE, UPDATE, CANCEL, RETRIEVE = "create", "update", "cancel", "retrieve"
ALL = [CREATE, RETRIEVE, UPDATE, RETRIEVE, CANCEL, RETRIEVE]


def make_walk(*, wait, with_return=True, **values):
    report = as_sample(make_order("USD", NOW), NOW, btn_ref=make_fake_token())
    returned = after_partial_return(report) if with_return else None
    return Walk(
        account="default", report=report, returned=returned, wait=wait, **values
    )


class WalkTestCase(ButtonTestCase):
    def walk(self, **values):
        self.told = []
        self.it = make_walk(
            wait=self.waits,
            tell=self.told.append,
            is_stopped=self.stopped.is_set,
            **values,
        )
        self.it.run()
        return self.it

    def results(self):
        return [(step.operation, step.result) for step in self.it.steps]

    def status(self):
        orders = self.sandbox.orders
        return orders[self.it.order_id]["status"] if self.it.order_id in orders else ""


class AgreeingTests(WalkTestCase):
    def test_each_step(self):
        walk = self.walk()

        assert self.results() == [(name, "ok") for name in ALL]
        assert walk.is_good
        assert not walk.may_be_there
        assert self.status() == "deleted"
        assert self.told == walk.steps
        assert self.waits.seconds == []

    def test_without_a_partial_return(self):
        self.walk(with_return=False)

        assert self.results() == [
            (name, "ok") for name in (CREATE, RETRIEVE, CANCEL, RETRIEVE)
        ]

    def test_what_is_sent(self):
        walk = self.walk()
        create, _, update, *_ = walk.steps

        assert create.sent == walk.report.as_payload()
        assert create.sent["btn_ref"].startswith("fakesrctok-")
        # As a worker does, it sends the whole order and no token.
        assert update.sent == without_btn_ref(walk.returned.as_payload())
        assert update.sent["total"] < create.sent["total"]

    def test_what_is_shown(self):
        create, shown, *_, gone = self.walk().steps

        assert create.status_code == 200
        assert create.button_order_id.startswith("btnorder-")
        assert shown.can_be_changed_until.endswith("Z")
        assert shown.not_shown == ()
        assert gone.can_be_changed_until == ""

    def test_decimals(self):
        self.settings(TOTAL_AS_DECIMAL=True)
        walk = self.walk()

        assert walk.is_good
        assert walk.steps[0].sent["total"] == 45.0
        assert walk.steps[0].sent["total_as_decimal"] is True

    def test_nothing_is_written(self):
        self.walk()

        assert not ButtonOrder.objects.exists()
        assert not Submission.objects.exists()

    def test_reporting_is_switched_off(self):
        """The walk is asked for by a person, and is no report of the shop."""
        self.settings(ENABLED=False)

        assert self.walk().is_good


class FailingTests(WalkTestCase):
    def test_create_is_refused(self):
        self.sandbox.misbehave(status=400, method="POST")
        walk = self.walk()

        assert self.results() == [(CREATE, "failed")]
        assert "400" in walk.steps[0].words
        assert not walk.may_be_there

    def test_key_is_refused(self):
        self.settings(API_KEY="sk-wrong-and-long")
        walk = self.walk()

        assert self.results() == [(CREATE, "failed")]
        assert walk.steps[0].status_code == 401
        # Workers find out themselves.
        assert not PausedAccount.objects.exists()

    def test_nothing_listens(self):
        self.sandbox.stop()
        walk = self.walk()

        assert self.results() == [(CREATE, "failed")]
        assert walk.steps[0].words == "Button could not be reached."
        assert walk.steps[0].status_code is None
        assert not walk.may_be_there

    def test_outcome_of_create_is_unknown(self):
        """Button may have the order, so it is cancelled."""
        for failure in ({"drop": "after"}, {"status": 500, "apply": True}):
            with self.subTest(failure):
                self.sandbox.misbehave(method="POST", **failure)
                self.walk()

                assert self.results() == [
                    (CREATE, "failed"),
                    (CANCEL, "ok"),
                    (RETRIEVE, "ok"),
                ]
                assert self.status() == "deleted"

    def test_create_never_arrives(self):
        """Nobody can tell that from a create that arrives late."""
        self.sandbox.misbehave(drop="before", method="POST")
        walk = self.walk()

        assert self.results() == [(CREATE, "failed"), (CANCEL, "failed")]
        assert self.waits.seconds == list(WAITS)
        assert walk.may_be_there

    def test_create_arrives_late(self):
        walk = make_walk(wait=self.waits)
        self.waits.actions = [
            lambda: self.sandbox.store.create(walk.report.as_payload())
        ]
        self.sandbox.misbehave(drop="before", method="POST")
        walk.run()

        assert [step.result for step in walk.steps] == ["failed", "ok", "ok"]
        assert self.sandbox.orders[walk.order_id]["status"] == "deleted"
        assert not walk.may_be_there

    def test_update_fails(self):
        walk = make_walk(wait=self.waits)
        walk.tell = self.refuse_next_post
        walk.run()

        assert [step.operation for step in walk.steps] == [
            CREATE,
            RETRIEVE,
            UPDATE,
            CANCEL,
            RETRIEVE,
        ]
        assert walk.steps[2].result == "failed"
        assert not walk.is_good
        assert self.sandbox.orders[walk.order_id]["status"] == "deleted"

    def refuse_next_post(self, step):
        if step.operation == CREATE:
            self.sandbox.misbehave(status=403, method="POST")

    def test_cancel_is_repeated(self):
        self.sandbox.misbehave(status=503, method="DELETE", times=2)
        self.walk()

        assert self.results() == [(name, "ok") for name in ALL]
        assert self.waits.seconds == list(WAITS[:2])

    def test_button_asks_to_wait(self):
        headers = {"Retry-After": "30"}
        self.sandbox.misbehave(status=429, method="DELETE", headers=headers)
        self.walk()

        assert self.waits.seconds == [30]

    def test_cancel_fails(self):
        for status, waits in ((503, list(WAITS)), (403, [])):
            with self.subTest(status):
                self.waits.seconds = []
                self.sandbox.reset()
                self.sandbox.misbehave(status=status, method="DELETE", times=9)
                walk = self.walk()

                assert self.results()[-1] == (CANCEL, "failed")
                assert self.waits.seconds == waits
                assert walk.may_be_there
                assert not walk.is_good

    def test_button_does_not_answer_a_question(self):
        self.sandbox.misbehave(status=500, method="GET", times=4)
        self.walk()

        assert self.results()[:3] == [
            (CREATE, "ok"),
            (RETRIEVE, "failed"),
            (UPDATE, "ok"),
        ]
        assert self.status() == "deleted"

    def test_error_in_between(self):
        """An error of ours must leave nothing at Button."""
        walk = make_walk(wait=self.waits)

        def tell(step):
            if step.operation == RETRIEVE and len(walk.steps) == 2:
                raise ZeroDivisionError

        walk.tell = tell
        with pytest.raises(ZeroDivisionError):
            walk.run()

        assert self.sandbox.orders[walk.order_id]["status"] == "deleted"


class WindowTests(WalkTestCase):
    def test_no_change_is_accepted(self):
        """The sheet says that Button may have the order."""
        walk = make_walk(wait=self.waits)

        def tell(step):
            if step.operation == CREATE:
                self.sandbox.finalize(walk.order_id)

        walk.tell = tell
        walk.run()

        assert [(step.operation, step.result) for step in walk.steps] == [
            (CREATE, "ok"),
            (RETRIEVE, "ok"),
            (UPDATE, "failed"),
            (CANCEL, "failed"),
        ]
        assert walk.steps[1].can_be_changed_until == ""
        assert walk.may_be_there


class StoppedTests(WalkTestCase):
    def test_after_create(self):
        self.stopped.set()
        self.walk()

        assert [name for name, _ in self.results()] == [
            CREATE,
            RETRIEVE,
            CANCEL,
            RETRIEVE,
        ]
        assert self.status() == "deleted"


class DifferingTests(WalkTestCase):
    def walk_with(self, **values):
        """Walk while Button keeps other values than it is sent."""
        walk = make_walk(wait=self.waits, with_return=False)

        def tell(step):
            if step.operation == CREATE:
                with self.sandbox.lock:
                    known = self.sandbox.store.orders[walk.order_id]
                    self.sandbox.store.orders[walk.order_id] = {**known, **values}

        walk.tell = tell
        walk.run()
        return walk.steps[1]

    def test_total(self):
        step = self.walk_with(total=4400)

        assert step.result == "differs"
        assert step.differences == {"total": [4500, 4400]}
        # Button may have applied it later.
        assert self.waits.seconds == list(WAITS)

    def test_token_is_dropped(self):
        step = self.walk_with(btn_ref=None)

        assert step.result == "differs"
        assert list(step.differences) == ["btn_ref"]

    def test_lines_are_dropped(self):
        step = self.walk_with(line_items=[])

        assert step.result == "differs"
        assert "line_items" in step.differences

    def test_deleted_by_somebody(self):
        step = self.walk_with(status="deleted")

        assert step.result == "differs"
        assert step.differences == {"status": ["open", "deleted"]}

    def test_applied_late(self):
        """Button may answer 202, and know the order some seconds later."""
        self.sandbox.misbehave(
            status=404, method="GET", times=2, body='{"meta": {"status": "error"}}'
        )
        self.walk()

        assert self.results() == [(name, "ok") for name in ALL]
        assert self.waits.seconds == list(WAITS[:2])


@override_settings(BUTTON_ORDERS=button_settings())
class AnswerTests(TestCase):
    """Answers that the sandbox does not give."""

    def setUp(self):
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)
        self.waits = Waits()
        self.stopped = threading.Event()
        self.it = make_walk(wait=self.waits, with_return=False)
        self.url = order_url(self.it.order_id)

    def shown(self, **values):
        add_answer("POST", status=202, json=None, body="")
        add_answer("GET", self.url, json={**OK, "object": values})
        add_answer("DELETE", self.url)
        self.it.run()
        return self.it.steps

    def test_button_leaves_out_fields(self):
        _, shown, *_ = self.shown(total=4500, finalized_date="2026-12-07T12:00:00Z")

        assert shown.result == "ok"
        assert {"btn_ref", "customer", "line_items"} <= set(shown.not_shown)
        assert shown.can_be_changed_until == "2026-12-07T12:00:00Z"

    def test_button_leaves_out_fields_of_the_lines(self):
        lines = [{"identifier": "preflight-a"}, {"identifier": "preflight-b"}]
        _, shown, *_ = self.shown(line_items=lines, customer={"is_new": False})

        assert shown.result == "ok"
        assert {"line_items.sku", "customer.id"} <= set(shown.not_shown)
        assert "line_items" not in shown.not_shown

    def test_button_shows_nothing(self):
        *_, shown, _, gone = self.shown()

        assert (shown.result, gone.result) == ("not shown", "not shown")
        assert self.it.is_good

    def test_still_open_after_the_cancellation(self):
        *_, gone = self.shown(status="open")

        assert gone.result == "differs"
        assert gone.differences == {"status": ["deleted", "open"]}
        assert self.it.may_be_there

    def test_created_before(self):
        """A proxy that repeats the request makes Button answer 409."""
        add_answer("POST", status=409, json=NOT_FOUND)
        add_answer("DELETE", self.url)
        add_answer("GET", self.url, status=404, json=NOT_FOUND)
        self.it.run()

        assert [step.result for step in self.it.steps] == ["failed", "ok", "ok"]
        assert calls()[1] == f"DELETE /v1/order/{self.it.order_id}"

    def test_button_quotes_the_key(self):
        add_answer("POST", status=400, json={"error": {"message": "Key sk-tests!"}})
        self.it.run()

        assert "sk-tests" not in self.it.steps[0].words
