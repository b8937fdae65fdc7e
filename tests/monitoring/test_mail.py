from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import responses
from celery.exceptions import SoftTimeLimitExceeded
from django.core import mail
from django.db import connection
from django.test import (
    TestCase,
    TransactionTestCase,
    override_settings,
    skipUnlessDBFeature,
)
from django.test.utils import CaptureQueriesContext
from django.utils.translation import override

from django_button_orders.management.base import Stop
from django_button_orders.management.loop import Loop
from django_button_orders.models import ButtonOrder, PausedAccount, SentAlert
from django_button_orders.models.clock import from_now
from django_button_orders.models.snapshots import Snapshot
from django_button_orders.monitoring.causes import CAUSES
from django_button_orders.monitoring.mail import send_alerts
from django_button_orders.tasks import report_due_orders
from tests.mail import mail_backend
from tests.management.utils import call
from tests.utils import add_answer, button_settings, create_row

OPS = ["ops@shop.com", "dev@shop.com"]
HOUR = 3600
LOGGER = "django_button_orders.monitoring.mail"


def alerting(**values):
    return override_settings(BUTTON_ORDERS=button_settings(ALERTS=OPS, **values))


def pause(account="default", *, using="default"):
    PausedAccount.objects.using(using).pause(account, seconds=300, error="401")


def let_pass(seconds):
    """Let the last messages be older by ``seconds``."""
    for alert in SentAlert.objects.filter(sent_at__isnull=False):
        SentAlert.objects.filter(pk=alert.pk).update(sent_at=from_now(-seconds))


def sent():
    """Return the subjects of the new messages."""
    subjects = [message.subject for message in mail.outbox]
    mail.outbox.clear()
    return subjects


@alerting(SITE="live")
class MessageTests(TestCase):
    def test_message(self):
        pause()

        send_alerts("default")

        [message] = mail.outbox
        assert message.subject == "[button-orders] live: An account is paused"
        assert message.to == OPS
        assert message.extra_headers == {"Auto-Submitted": "auto-generated"}
        first, line, todo, footer, link = message.body.split("\n\n")
        assert first == "An account is paused."
        assert line.startswith("* Account default: Button refused its API key. ")
        assert todo.startswith("Correct API_KEY")
        assert footer.startswith("Database default, 20")
        assert link.endswith("/howto/alerts.html#account-paused\n")

    def test_message_has_no_key_and_no_address(self):
        PausedAccount.objects.pause("default", seconds=9, error="sk-tests jane@a.com")

        send_alerts("default")

        [message] = mail.outbox
        assert "sk-tests" not in message.body
        assert "@" not in message.body

    def test_language_of_the_settings(self):
        """The language of the process does not matter, such as a visitor's."""
        create_row()
        ButtonOrder.objects.update(status="failed", reason="refused")
        with self.settings(LANGUAGE_CODE="fr"), override("de"):
            send_alerts("default")

        [message] = mail.outbox
        with override("fr"):
            assert f"{ButtonOrder.Reason.REFUSED.label} (refused)" in message.body

    @alerting(SITE="")
    def test_without_a_site_the_subject_has_the_host(self):
        pause()

        send_alerts("default")

        [subject] = sent()
        assert subject.startswith("[button-orders] ")
        assert not subject.startswith("[button-orders] :")


@alerting()
class OnceADayTests(TestCase):
    databases = {"default", "archive"}

    def test_once(self):
        pause()

        send_alerts("default")
        send_alerts("default")

        assert len(sent()) == 1

    def test_told_causes_are_not_looked_for(self):
        """To look for one takes up to a second with a million orders."""
        for cause in CAUSES:
            SentAlert.objects.create(cause=cause.code, sent_at=from_now(-HOUR))

        # The time, and the last messages.
        with self.assertNumQueries(2):
            send_alerts("default")

    def test_again_the_next_day(self):
        pause()
        send_alerts("default")
        sent()

        let_pass(24 * 3600 - 60)
        send_alerts("default")
        assert sent() == []
        let_pass(24 * 3600)
        send_alerts("default")

        assert len(sent()) == 1

    def test_one_message_for_many_accounts(self):
        with alerting(ACCOUNTS={"eu": {"API_KEY": "sk-eu"}}):
            pause()
            pause("eu")
            send_alerts("default")

        [message] = mail.outbox
        assert "\n* Account default" in message.body
        assert "\n* Account eu" in message.body

    def test_another_process_sends_it_meanwhile(self):
        """The other process looks for causes between our look and our message."""
        pause()
        looks = []

        def send_as_well(execute, sql, *arguments):
            if PausedAccount._meta.db_table in sql:
                looks.append(sql)
                if len(looks) == 1:
                    send_alerts("default")
            return execute(sql, *arguments)

        with connection.execute_wrapper(send_as_well):
            send_alerts("default")

        assert len(looks) > 1
        assert len(sent()) == 1

    def test_each_database(self):
        pause()
        pause(using="archive")

        send_alerts("default")
        send_alerts("archive")

        assert len(sent()) == 2
        assert SentAlert.objects.using("archive").count() == 1


@skipUnlessDBFeature("test_db_allows_multiple_connections")
@alerting()
class RaceTests(TransactionTestCase):
    def test_processes_look_at_once(self):
        pause()
        barrier = threading.Barrier(4)

        def look(number):
            try:
                barrier.wait()
                send_alerts("default")
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(look, range(4)))

        assert len(sent()) == 1


@alerting()
class FailureTests(TestCase):
    databases = {"default", "archive"}

    def test_mail_server_that_refuses(self):
        pause()

        with mail_backend("RefusingBackend"), self.assertLogs(LOGGER, "ERROR") as logs:
            send_alerts("default")

        [line] = logs.output
        assert "account_paused was not sent: SMTPRecipientsRefused at " in line
        assert "ops@" not in line
        send_alerts("default")
        assert len(sent()) == 1

    def test_message_of_yesterday_is_not_forgotten(self):
        pause()
        send_alerts("default")
        let_pass(25 * 3600)
        before = SentAlert.objects.get().sent_at

        with mail_backend("RefusingBackend"), self.assertLogs(LOGGER, "ERROR"):
            send_alerts("default")

        assert SentAlert.objects.get().sent_at == before

    def test_other_messages_do_not_wait_for_the_same_server(self):
        pause()
        create_row()
        ButtonOrder.objects.update(status="failed", reason="refused")

        with mail_backend("RefusingBackend"), self.assertLogs(LOGGER, "ERROR") as logs:
            send_alerts("default")

        assert len(logs.output) == 1

    def test_time_limit_of_the_worker(self):
        pause()

        with mail_backend("StoppedBackend"), pytest.raises(SoftTimeLimitExceeded):
            send_alerts("default")
        send_alerts("default")

        assert len(sent()) == 1

    @responses.activate
    def test_reporting_goes_on(self):
        add_answer("POST")
        pause("eu")
        create_row()

        with (
            alerting(ACCOUNTS={"eu": {"API_KEY": "sk-eu"}}),
            mail_backend("RefusingBackend"),
            self.assertLogs(LOGGER, "ERROR"),
        ):
            report_due_orders()

        assert ButtonOrder.objects.get().status == "reported"

    def test_timeout(self):
        pause()

        with mail_backend("PatientBackend"):
            send_alerts("default")

        assert mail.outbox[0].extra_headers["Timeout"] == "10"


class OffTests(TestCase):
    databases = {"default", "archive"}

    @override_settings(BUTTON_ORDERS=button_settings())
    def test_no_query_without_addresses(self):
        pause()

        with self.assertNumQueries(0):
            send_alerts("default")

        assert sent() == []

    @alerting(ENABLED=False)
    def test_disabled(self):
        pause()

        with self.assertNumQueries(0):
            send_alerts("default")

        assert sent() == []

    @override_settings(BUTTON_ORDERS={"API_KEY": 1, "ALERTS": OPS})
    def test_settings_that_cannot_be_read(self):
        pause()

        send_alerts("default")

        assert sent() == []


class SweepTests(TestCase):
    databases = {"default", "archive"}

    @alerting()
    def test_sweep_sends_them(self):
        pause()

        report_due_orders()

        assert len(sent()) == 1

    @alerting()
    def test_commands_send_them(self):
        pause()

        call("button_orders_report")

        assert len(sent()) == 1

    @alerting()
    def test_loop_sends_them(self):
        pause()
        stop = Stop()
        stop.wait = lambda seconds: stop.set()

        Loop(stop=stop, interval=1, narrow=lambda rows: rows).run()

        assert len(sent()) == 1

    @alerting()
    def test_only_the_sweep_that_counts(self):
        report_due_orders()
        pause()

        report_due_orders()
        assert sent() == []
        Snapshot.objects.update(next_at=from_now(-1))
        report_due_orders()

        assert len(sent()) == 1

    def test_sweep_without_addresses_asks_nothing_more(self):
        counts = []
        for addresses in ([], OPS):
            settings = button_settings(ALERTS=addresses)
            with override_settings(BUTTON_ORDERS=settings):
                Snapshot.objects.update(next_at=from_now(-1))
                with CaptureQueriesContext(connection) as queries:
                    report_due_orders()
            counts.append([query["sql"] for query in queries])

        table = SentAlert._meta.db_table
        assert not [sql for sql in counts[0] if table in sql]
        assert [sql for sql in counts[1] if table in sql]

    @alerting()
    def test_database_without_the_tables(self):
        with self.settings(DATABASE_ROUTERS=["tests.utils.NoArchiveRouter"]):
            pause(using="archive")

            report_due_orders()

        assert sent() == []
