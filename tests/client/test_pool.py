from __future__ import annotations

import threading
from contextvars import ContextVar
from unittest.mock import patch

import pytest
from django.test import SimpleTestCase

from django_button_orders.client.pool import CallPool


def threads():
    names = (thread.name for thread in threading.enumerate())
    return sum(name.startswith("button-orders-call-") for name in names)


class CallPoolTests(SimpleTestCase):
    def test_all_that_is_put_in_comes_out(self):
        performed = []
        with CallPool(3, performed.append) as pool:
            for number in range(50):
                pool.put(number)
            taken = []
            while pool.in_flight:
                taken += pool.pop_done(5)

        assert sorted(performed) == sorted(taken) == list(range(50))
        assert threads() == 0

    def test_context_of_the_caller(self):
        variable = ContextVar("variable", default="none")
        seen = []
        with CallPool(1, lambda job: seen.append((job, variable.get()))) as pool:
            pool.put(1)
            variable.set("second")
            pool.put(2)

        assert seen == [(1, "none"), (2, "second")]

    def test_no_more_threads_than_work(self):
        release = threading.Event()
        self.addCleanup(release.set)
        with CallPool(3, lambda number: release.wait(5)) as pool:
            pool.put(1)
            assert threads() == 1
            for number in range(9):
                pool.put(number)
            assert threads() == 3
            release.set()

    def test_system_that_gives_no_more_threads(self):
        start = threading.Thread.start

        def start_one(thread):
            if threads():
                raise RuntimeError("can't start new thread")
            start(thread)

        with (
            patch.object(threading.Thread, "start", start_one),
            CallPool(3, lambda number: None) as pool,
        ):
            for number in range(9):
                pool.put(number)
            taken = []
            while pool.in_flight:
                taken += pool.pop_done(5)

        assert sorted(taken) == list(range(9))

    def test_interrupted_as_a_thread_starts(self):
        """The pool knows the thread, so that finish() can end it."""
        start = threading.Thread.start

        def start_and_raise(thread):
            start(thread)
            raise SystemExit(1)

        performed = []
        pool = CallPool(2, performed.append)
        with (
            patch.object(threading.Thread, "start", start_and_raise),
            pytest.raises(SystemExit),
        ):
            pool.put(1)
        pool.put(2)
        pool.finish()

        assert performed == [2]
        assert threads() == 0

    def test_does_not_wait_longer_than_told(self):
        release = threading.Event()
        self.addCleanup(release.set)
        with CallPool(1, lambda number: release.wait(5)) as pool:
            pool.put(1)

            assert pool.pop_done(0.01) == []
            assert pool.in_flight == 1
            release.set()

    def test_wakes_when_more_can_be_put_in(self):
        """pop_done() returns before its time is up, so that no thread is idle."""
        with CallPool(2, lambda number: None) as pool:
            pool.put(1)

            assert pool.pop_done(60) == [1]

    def test_what_ends_a_call_is_raised(self):
        def fail(number):
            raise SystemExit(number)

        with CallPool(1, fail) as pool:
            pool.put(3)

            with pytest.raises(SystemExit):
                pool.pop_done(5)

            assert pool.in_flight == 0

    def test_all_is_done_at_the_end(self):
        performed = []
        with CallPool(2, performed.append) as pool:
            for number in range(20):
                pool.put(number)

        assert sorted(performed) == list(range(20))
