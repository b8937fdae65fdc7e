from __future__ import annotations

import io
import os
import signal
import threading
import time

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import SimpleTestCase

from django_button_orders.management.base import (
    ButtonOrdersCommand,
    Stop,
    in_words,
    stop_on_signals,
)


class Interrupted(ButtonOrdersCommand):
    requires_system_checks = []

    def handle(self, **options):
        os.kill(os.getpid(), signal.SIGINT)


class InterruptionTests(SimpleTestCase):
    def test_before_it_listens_for_signals(self):
        """No traceback, and the exit status that a shell expects."""
        with pytest.raises(SystemExit) as info:
            Interrupted().run_from_argv(["manage.py", "button_orders_example"])

        assert info.value.code == 130


class EchoCommand(ButtonOrdersCommand):
    """Say what it is told to."""

    requires_system_checks = ()

    def add_arguments(self, parser):
        parser.add_argument("word")

    def handle(self, *, word, **options):
        self.stdout.write(f"out: {word}")
        self.stderr.write(f"err: {word}")
        raise CommandError(f"error: {word}", returncode=7)


class OutputTests(SimpleTestCase):
    def test_one_line_each(self):
        out, err = io.StringIO(), io.StringIO()
        with pytest.raises(CommandError) as caught:
            call_command(EchoCommand(), "\x1b[2J\n\u202e", stdout=out, stderr=err)

        shown = r"\x1b[2J\n\u202e"
        assert out.getvalue() == f"out: {shown}\n"
        assert err.getvalue() == f"err: {shown}\n"
        assert str(caught.value) == f"error: {shown}"
        assert caught.value.returncode == 7


class WordsTests(SimpleTestCase):
    def test_in_words(self):
        for seconds, words in (
            (0.2, "1 second"),
            (45, "45 seconds"),
            (59.9, "1 minute"),
            (3000, "50 minutes"),
            # Some milliseconds after it was an hour.
            (3599.4, "1 hour"),
            (7100, "2 hours"),
            (86399, "1 day"),
        ):
            with self.subTest(seconds=seconds):
                assert in_words(seconds) == words


class SignalTests(SimpleTestCase):
    def test_first_signal(self):
        for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            with stop_on_signals() as stop:
                assert not stop.is_set
                os.kill(os.getpid(), number)

                assert stop.is_set
                assert stop.exit_status == status

    def test_leaves_signals_as_they_were(self):
        before = signal.getsignal(signal.SIGTERM)
        with stop_on_signals():
            pass

        assert signal.getsignal(signal.SIGTERM) is before

    def test_other_threads_have_no_signals(self):
        seen = []

        def work():
            with stop_on_signals() as stop:
                seen.append(stop.is_set)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

        assert seen == [False]


class StopTests(SimpleTestCase):
    def test_told_to_end_nobody_waits(self):
        stop = Stop()
        stop.set()
        began = time.monotonic()
        for _ in range(3):
            stop.wait(60)

        assert time.monotonic() - began < 60
