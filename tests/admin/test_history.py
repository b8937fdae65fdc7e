from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_button_orders.models import Submission
from tests.admin.utils import (
    AdminTestCase,
    create_submission,
    create_user,
    page_url,
)
from tests.utils import LONG_AGO, PURCHASED


class HistoryTests(AdminTestCase):
    def test_nothing_sent(self):
        assert "No call was made yet." in self.page()

    def test_facts(self):
        create_submission(
            self.row,
            user=self.user,
            trigger="admin",
            status_code=422,
            error="No.",
            outcome="failed",
        )

        page = self.page()

        assert (
            "Create: Failed (422) No. 2026-11-01 06:00:00 · 120 ms · Admin · root"
            in page
        )
        assert "Request POST https://button.test/v1/order" in page

    def test_pretty_json(self):
        create_submission(self.row, request_body='{"a":{"b":"é"}}', response_body="")

        html = self.client.get(page_url(self.row)).content.decode()

        assert "{\n  &quot;a&quot;: {\n    &quot;b&quot;: &quot;é&quot;" in html
        assert "<summary>Request</summary>" in html
        assert "<summary>Response</summary>" not in html

    def test_not_json(self):
        for body in ("<html>502</html>", "{", "[" * 9000, "1" * 9000, "x" * 30_000):
            with self.subTest(body=body[:20]):
                create_submission(self.row, response_body=body)

                assert body in self.page()

    def test_much_too_long(self):
        create_submission(self.row, response_body="x" * 200_000)

        assert f"{'x' * 100_000} …" in self.page()
        assert "x" * 100_001 not in self.page()

    def test_newest_first_and_bounded(self):
        for number in range(52):
            started = PURCHASED + timedelta(days=number)
            create_submission(self.row, error=f"#{number}.", started_at=started)

        page = self.page()

        assert page.index("#51.") < page.index("#2.")
        assert "#1." not in page

    def test_all_but_the_latest_are_folded(self):
        for number in range(5):
            create_submission(self.row, error=f"#{number}.")

        page = self.page()

        fold = page.index("2 earlier calls")
        assert page.index("#4.") < page.index("#2.") < fold < page.index("#1.")

    def test_pages(self):
        for number in range(101):
            create_submission(self.row, error=f"#{number}.")
        pages = {
            "": ({"Older"}, "#100.", "#51."),
            "?submissions=1": ({"Older", "Newer"}, "#50.", "#1."),
            "?submissions=2": ({"Newer"}, "#0.", "#0."),
            "?submissions=3": ({"Newer"}, "There are no older", "There are no older"),
            "?submissions=-1": ({"Older"}, "#100.", "#51."),
            "?submissions=9999999": ({"Older"}, "#100.", "#51."),
        }
        for query, (links, first, last) in pages.items():
            with self.subTest(query=query):
                response = self.client.get(f"{page_url(self.row)}{query}")
                html = response.content.decode()

                assert links == {
                    name for name in ("Older", "Newer") if f">{name} calls" in html
                }
                assert first in html
                assert last in html
                assert html.count("<h3>") <= 50

    def test_nothing_is_counted(self):
        create_submission(self.row)

        with CaptureQueriesContext(connection) as queries:
            self.page()

        assert not [q for q in queries if "COUNT(" in q["sql"].upper()]

    def test_queries_do_not_grow(self):
        create_submission(self.row, user=self.user)
        self.page()
        with CaptureQueriesContext(connection) as queries:
            self.page()
        for number in range(20):
            create_submission(self.row, user=create_user(name=f"user {number}"))

        with self.assertNumQueries(len(queries)):
            self.page()

    def test_pruned(self):
        sentence = "The bodies were pruned: they are kept for 30 days."
        now = timezone.now()
        cases = [
            # A create always had a body.
            ({"method": "POST", "started_at": now}, True),
            ({"method": "POST", "request_body": "{}"}, False),
            ({"method": "DELETE", "status_code": 200}, True),
            ({"method": "DELETE", "status_code": 204, "started_at": now}, False),
            ({"method": "GET"}, False),
        ]
        for values, expected in cases:
            with self.subTest(**values):
                Submission.objects.all().delete()
                create_submission(self.row, **{"started_at": LONG_AGO, **values})

                assert (sentence in self.page()) is expected

    @override_settings(USE_TZ=False)
    def test_pruned_without_time_zones(self):
        create_submission(
            self.row, method="GET", status_code=200, started_at=datetime(2020, 1, 1)
        )

        assert "The bodies were pruned" in self.page()
