from __future__ import annotations

from collections import deque

from django_button_orders.delivery.rate_limit import reserve_turns
from django_button_orders.models import (
    PausedAccount,
    Submission,
)
from django_button_orders.reconcile.questions import AccountTurns
from django_button_orders.reconcile.run import compare
from tests.reconcile.utils import (
    ButtonTestCase,
    comparison_of,
)


class PatienceTests(ButtonTestCase):
    def test_one_that_fails_once(self):
        self.report(3)
        self.sandbox.misbehave(status=500, order_id="1")

        assert self.compare() == {"agree": 3}
        assert self.waits.seconds == [1.0]
        assert sorted(self.asked()) == ["0", "1", "1", "2"]
        outcomes = Submission.objects.filter(operation="retrieve", trigger="reconcile")
        assert sorted(outcomes.values_list("outcome", flat=True)) == [
            "succeeded",
            "succeeded",
            "succeeded",
            "will_retry",
        ]

    def test_one_that_always_fails(self):
        self.report(3)
        self.sandbox.misbehave(times=100, status=500, order_id="1")

        assert self.compare() == {"agree": 2, "not_compared": 1}
        assert self.ended == ""
        assert len(self.asked()) == 5

    def test_forbidden(self):
        """A 403 may concern this order alone, so it is not repeated."""
        self.report(2)
        self.sandbox.misbehave(times=100, status=403, order_id="1")

        assert self.compare() == {"agree": 1, "not_compared": 1}
        assert self.waits.seconds == []

    def test_retry_after(self):
        self.report(40)
        self.sandbox.misbehave(status=429, headers={"Retry-After": "77"})

        assert self.compare() == {"agree": 40}
        assert self.waits.seconds == [77.0]

    def test_nothing_is_sent_while_button_wants_to_be_left_alone(self):
        self.report(40)
        self.sandbox.misbehave(times=3, status=429, headers={"Retry-After": "77"})
        asked = []
        self.waits.actions = [lambda: asked.append(len(self.asked()))]

        self.compare()

        # Only the calls that were in flight were made.
        assert asked[0] <= 4

    def test_asked_to_come_another_day(self):
        self.report(3)
        self.sandbox.misbehave(times=3, status=429, headers={"Retry-After": "7200"})

        assert self.compare(batch_size=1) == {}
        assert self.ended == "Button asks to retry in 7200 seconds."
        assert self.waits.seconds == []

    def test_away_and_back(self):
        self.report(10)
        self.sandbox.stop()
        self.waits.actions = [lambda: None, self.sandbox.start]

        assert self.compare() == {"agree": 10}
        assert self.waits.seconds[:2] == [1.0, 5.0]

    def test_away_for_long(self):
        self.report(10)
        assert self.compare(batch_size=5, limit=5) == {"agree": 5}
        position = self.position
        self.sandbox.stop()

        assert self.compare(batch_size=5, position=position) == {}
        assert self.waits.seconds == [1.0, 5.0, 15.0, 30.0]
        assert self.ended.startswith("Button does not answer. The last error: Button ")
        assert self.position == position

        self.sandbox.start()
        assert self.compare(batch_size=5, position=position) == {"agree": 5}
        assert sorted(self.asked()) == sorted(f"{number}" for number in range(10))

    def test_waits_are_told(self):
        self.report(1)
        self.sandbox.stop()
        told = []

        list(compare(comparison_of(wait=self.waits, tell=told.append)))

        assert len(told) == len(self.waits.seconds) == 4
        for text, seconds in zip(told, self.waits.seconds, strict=True):
            assert text == (
                "No answer yet: Button could not be reached. "
                f"Retrying in {seconds:.0f} s."
            )

    def test_interrupted(self):
        self.report(30)

        def stop_at(request):
            if request.method == "GET" and len(self.asked()) >= 9:
                self.stopped.set()

        self.sandbox.listener = stop_at
        counts = self.compare()
        done = counts["agree"]
        assert 9 <= done < 30
        self.stopped.clear()
        self.sandbox.listener = lambda request: None

        again = self.compare(position=self.position)

        assert done + again["agree"] >= 30
        assert set(self.asked()) == {f"{number}" for number in range(30)}

    def test_key_that_is_refused(self):
        self.report(20)
        self.sandbox.misbehave(times=20, status=401)

        assert self.compare() == {}
        assert "401" in self.ended
        assert self.position == ""
        assert PausedAccount.objects.get().account == "default"
        assert len(self.asked()) <= 4


class AccountTurnsTests(ButtonTestCase):
    def test_shares_the_turns_of_its_account(self):
        self.report(count=3)
        self.settings(RATE_LIMIT=0.1)

        assert self.compare() == {"agree": 3}

        first, second = self.waits.seconds
        assert 9 < first <= 10
        assert 19 < second <= 20

    def test_turns_are_those_of_all_processes(self):
        self.settings(RATE_LIMIT=2.0)
        self.report()
        # Another process has taken all turns of the next minute.
        reserve_turns("default", 120)

        assert self.compare() == {"agree": 1}
        (seconds,) = self.waits.seconds
        assert 55 < seconds <= 60 + 1

    def test_turns_that_have_passed_are_gone(self):
        self.settings(RATE_LIMIT=1000.0)
        turns = AccountTurns("default", wait=self.waits)
        turns.wait_for_turn()
        first = len(turns.moments)
        turns.moments = deque(moment - 3600 for moment in turns.moments)

        turns.wait_for_turn()

        assert len(turns.moments) == first

    def test_without_a_limit_the_database_is_not_asked(self):
        with self.assertNumQueries(0):
            AccountTurns("default", wait=self.waits).wait_for_turn()
