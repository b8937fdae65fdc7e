"""The page "History" of a Button order: calls and people's acts together."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_button_orders.models import Submission
from django_button_orders.operations.orders import log_change, run_action
from tests.admin.utils import AdminTestCase, create_submission, page_url, text_of
from tests.utils import PURCHASED, create_row

HOSTILE = "<script>alert(1)</script>"


class TimelineTests(AdminTestCase):
    def get(self):
        response = self.client.get(page_url(self.row, "history"))
        assert response.status_code == 200
        return response

    def history(self):
        return text_of(self.get())

    def log(self, message, **after):
        entry = log_change(self.row, self.user.pk, message)
        moment = PURCHASED + timedelta(**after)
        LogEntry.objects.filter(pk=entry.pk).update(action_time=moment)

    def test_nothing(self):
        assert "Nothing has happened yet" in self.history()

    def test_together_and_latest_first(self):
        for hours, error in ((0, "First."), (2, "Third.")):
            started = PURCHASED + timedelta(hours=hours)
            create_submission(
                self.row,
                started_at=started,
                error=error,
                outcome="failed",
                status_code=422,
            )
        self.log("Retried.", hours=1)
        self.log("Dismissed. Note: A test.", hours=3)

        history = self.history()

        assert (
            "2026-11-01 09:00:00 · root Dismissed. Note: A test. "
            "2026-11-01 08:00:00 · Save Create: Failed (422) Third. "
            "POST https://button.test/v1/order "
            "2026-11-01 07:00:00 · root Retried. "
            "2026-11-01 06:00:00 · Save Create: Failed (422) First."
        ) in history

    def test_buttons(self):
        self.put(status="failed", reason="refused")
        options = {"using": "default", "user_id": self.user.pk}
        run_action("dismiss", [self.row.pk], note="No order.", **options)
        run_action("retry", [self.row.pk], **options)
        run_action("cancel", [self.row.pk], **options)

        history = self.history()

        for act in ("Dismissed. Note: No order.", "Retried.", "Cancellation requested"):
            assert f"root {act}" in history

    def test_call_without_an_answer(self):
        create_submission(self.row, outcome="will_retry", error="No answer.")

        assert "Create: Will retry No answer." in self.history()

    def test_user_of_a_call(self):
        create_submission(self.row, trigger="admin", user=self.user, status_code=200)

        assert "06:00:00 · root Create: Succeeded (200)" in self.history()

    def test_of_this_order_only(self):
        other = create_row(order_id="1995")
        create_submission(other, error="Of another.")
        log_change(other, self.user.pk, "Also of another.")

        assert "Nothing has happened yet" in self.history()

    def test_bodies_stay_out(self):
        create_submission(self.row, request_body="{1}", response_body="{2}")

        with CaptureQueriesContext(connection) as queries:
            history = self.history()

        assert "{1}" not in history
        assert "{2}" not in history
        assert not [q for q in queries if "response_body" in q["sql"]]

    def test_errors_without_the_permission(self):
        """An adapter's error may quote a customer."""
        error = "ShopOrderAdapter.build raised ValueError: ada@example.com"
        create_submission(self.row, error=error)
        assert "ada@example.com" in self.history()

        self.log_in("view_buttonorder")

        assert "raised ValueError" in self.history()
        assert "ada@example.com" not in self.history()

    def test_forbidden(self):
        self.log_in("view_submission")

        response = self.client.get(page_url(self.row, "history"))

        assert response.status_code == 403

    def test_gone(self):
        url = page_url(self.row, "history")
        self.row.delete()

        assert self.client.get(url).status_code == 302

    def test_hostile_and_long_texts(self):
        create_submission(self.row, error=HOSTILE, url=HOSTILE)
        create_submission(self.row, error="x" * 5000)
        self.log(f"Dismissed. Note: {HOSTILE}")
        self.log("y" * 5000)

        html = self.get().content.decode()

        assert "<script>alert" not in html
        assert html.count("&lt;script&gt;alert(1)") == 3
        assert "x" * 1001 not in html
        assert "y" * 1001 not in html

    def test_bounded(self):
        now = PURCHASED
        Submission.objects.bulk_create(
            Submission(
                button_order=self.row,
                operation="create",
                trigger="save",
                revision=1,
                started_at=now + timedelta(minutes=number),
                duration_ms=1,
                method="POST",
                outcome="failed",
                error=f"#{number}.",
            )
            for number in range(201)
        )
        self.log("Retried.")

        history = self.history()

        assert "#200." in history
        assert "#1." in history
        assert "#0." not in history
        assert "Calls before 2026-11-01 06:01:00 are not shown here." in history
        assert "Retried." in history
        assert "Entries of people before" not in history

        Submission.objects.get(error="#0.").delete()
        assert "Calls before" not in self.history()

    def test_many_acts(self):
        for number in range(201):
            self.log(f"#{number}.", minutes=number)

        history = self.history()

        assert "#1." in history
        assert "#0." not in history
        assert "Entries of people before 2026-11-01 06:01:00 are not" in history

        LogEntry.objects.get(change_message="#0.").delete()
        assert "Entries of people before" not in self.history()

    def test_queries_do_not_grow(self):
        create_submission(self.row, user=self.user)
        self.log("Retried.")
        self.history()
        with CaptureQueriesContext(connection) as queries:
            self.history()
        for _ in range(20):
            create_submission(self.row, user=self.user)
            self.log("Retried.")

        with self.assertNumQueries(len(queries)):
            self.history()

    @override_settings(USE_TZ=False)
    def test_without_time_zones(self):
        create_submission(self.row, started_at=datetime(2020, 1, 1))
        log_change(self.row, self.user.pk, "Retried.")

        history = self.history()

        assert history.index("Retried.") < history.index("2020-01-01 00:00:00")
