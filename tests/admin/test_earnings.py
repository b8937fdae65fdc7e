from __future__ import annotations

from datetime import datetime, timedelta, timezone

from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from tests.admin.utils import AdminTestCase, create_submission, create_user, page_url
from tests.utils import PURCHASED

TITLE = "Why it earned a commission, or not"
SENT = '{"total": 7000, "currency": "USD", "btn_ref": "srctok-1"}'


class EarningsTests(AdminTestCase):
    """``tests.monitoring`` tests the sentences."""

    def box(self):
        page = self.page()
        return page[page.index(TITLE) : page.rindex("Internals")]

    def report(self):
        self.put(status="reported", reported_revision=1, reported_btn_ref="srctok-1")
        create_submission(
            self.row,
            started_at=PURCHASED + timedelta(seconds=40),
            status_code=200,
            request_body=SENT,
        )

    def test_reported(self):
        self.report()

        box = self.box()

        assert (
            f"{TITLE} For the publisher's support: It was reported with its token on "
            "Nov. 1, 2026 and has been unchanged since. The commission is "
            "Button's to say. What happened, with dates" in box
        )
        assert "2026-11-01 06:00:00 CST The customer placed the order." in box
        assert (
            "2026-11-01 06:00:40 CST The order was reported with the token srctok-1. "
            "Button accepted it. The total was 70.00 USD." in box
        )
        assert "Now The order has the token srctok-1." in box

    def test_moments_are_exact(self):
        self.report()
        html = self.client.get(page_url(self.row)).content.decode()

        assert 'datetime="2026-11-01T06:00:40-06:00">2026-11-01 06:00:40 CST<' in html

    def test_not_reported(self):
        self.put(status="failed", reason="refused", last_error="<b>No.</b>")

        assert "For the shop: Button has not acknowledged a report of it." in self.box()

    def test_user_who_may_only_view(self):
        """The box has nothing of the customer, and no error of the shop's code."""
        self.put(
            status="failed",
            reason="invalid",
            last_error="ShopOrderAdapter.build raised TroubleError: ada@example.com",
            customer={"id": "c-7"},
        )
        self.client.force_login(create_user("view_buttonorder"))

        box = self.box()

        assert "No valid report could be built." in box
        assert "ada@example.com" not in box
        assert "c-7" not in box

    def test_user_who_may_not_view_bodies(self):
        self.report()
        create_submission(self.row, operation="update")
        create_submission(self.row, operation="retrieve", status_code=200)
        self.client.force_login(create_user("view_buttonorder"))

        box = self.box()

        assert "The order was reported, and Button accepted it. " in box
        assert "An update was sent, and Button accepted it. " in box
        assert "Button was asked, and it answered. " in box
        assert "kept" not in box
        assert "The total was" not in box

    def test_strange_call(self):
        create_submission(self.row, operation="", trigger="", outcome="")

        assert "No answer came." in self.box()

    def test_escaped(self):
        self.put(btn_ref="<script>alert(1)</script>")

        html = self.client.get(page_url(self.row)).content.decode()

        assert "the token &lt;script&gt;" in html
        assert "<script>alert(1)" not in html

    def test_in_the_language_of_the_user(self):
        self.report()
        with override_settings(LANGUAGE_CODE="de"):
            assert (
                "1. November 2026"
                in self.client.get(page_url(self.row)).content.decode()
            )

    def test_as_many_queries_for_many_calls_as_for_some(self):
        counts = []
        # The first page fills the caches of Django.
        self.page()
        for number in (50, 400):
            for at in range(number):
                moment = datetime(2026, 11, 2, tzinfo=timezone.utc)
                create_submission(
                    self.row,
                    started_at=moment + timedelta(seconds=at),
                    outcome="will_retry",
                    status_code=503,
                )
            with CaptureQueriesContext(connection) as queries:
                self.page()
            counts.append(len(queries))

        assert counts[0] == counts[1]

    @override_settings(BUTTON_ORDERS={"API_KEY": 7})
    def test_invalid_settings(self):
        assert "It is not reported yet." in self.box()
