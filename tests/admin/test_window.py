"""Until when Button accepts changes, and what a change costs that came too late."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from django.test import override_settings
from django.utils import timezone

from django_button_orders.models import ButtonOrder
from tests.admin.test_host import HostTestCase
from tests.admin.utils import AdminTestCase, page_url
from tests.utils import PURCHASED

NO_MORE = "and accepts no more changes"
TODO = (
    " If the difference matters, contact Button. Otherwise, there is nothing to do. "
    "Retry sends the change to Button once more."
)
SENTENCES = {
    (4500, 2500): f"Button holds 45.00 USD {NO_MORE}. The shop has 20.00 USD: a "
    "return of 25.00 USD came too late.",
    (4500, 4500): f"Button holds 45.00 USD {NO_MORE}: the return or cancellation of "
    "the whole order came too late.",
    (4500, -500): f"Button holds 45.00 USD {NO_MORE}. The shop has 50.00 USD: Button "
    "holds 5.00 USD less.",
    (4500, 0): f"Button holds 45.00 USD, as the shop does, {NO_MORE}. Other values "
    "have changed too late.",
    (None, None): "Button accepts no more changes of this order, and what it holds is "
    "not known here.",
}

# Django 6.1 puts the help text before the value.
UNTIL = r"Can be changed until: (When [^.]*\. )?"


class ClosedTests(AdminTestCase):
    def close(self, held, late, **values):
        self.put(
            status="closed",
            reason="finalized",
            next_attempt_at=None,
            reported_total=held,
            late_amount=late,
            **values,
        )

    def test_what_differs(self):
        for (held, late), sentence in SENTENCES.items():
            with self.subTest(held=held, late=late):
                self.close(held, late)

                assert sentence + TODO in self.page()

    def test_requested_cancellation(self):
        self.close(4500, 4500, cancel_requested_at=PURCHASED)

        assert SENTENCES[4500, 4500] in self.page()

    def test_other_currencies(self):
        self.close(4500, 2500, currency="JPY")

        assert "a return of 2,500 JPY came too late" in self.page()

    def test_window_is_not_mentioned_twice(self):
        self.close(4500, 2500, finalizes_at=PURCHASED)

        assert "Button accepted changes until" not in self.page()

    def test_next_call(self):
        """After a known end there is none, and after a retry there is one."""
        self.close(
            4500, 2500, finalizes_at=PURCHASED, reported_revision=1, reported_digest="x"
        )
        assert "Nothing would be sent, because it is too late: Button ac" in self.page()

        self.client.post(page_url(self.row, "retry"))

        self.row.refresh_from_db()
        assert self.row.status == "pending"
        assert "The order would be updated at Button" in self.page()

    def test_late_customer(self):
        digest = self.row.desired_digest()
        self.put(
            status="reported",
            finalizes_at=PURCHASED,
            reported_revision=1,
            reported_digest=digest,
            customer={"id": "17"},
        )

        assert "Nothing would be sent: Button accepts no more" in self.page()

    def test_reporting_section(self):
        self.close(4500, 2500, finalizes_at=PURCHASED)

        page = self.page()
        assert re.search(r"Reported total: 45\.00 USD", page)
        assert re.search(UNTIL + r"Nov\. 1, 2026, 6 a\.m\.", page)
        assert re.search(r"Late amount: 25\.00 USD", page)


class WindowTests(AdminTestCase):
    def put_end(self, **ago):
        """Let the window end at a time from now."""
        self.put(finalizes_at=timezone.now() + timedelta(**ago))

    def test_open(self):
        for status in ("reported", "pending", "failed"):
            with self.subTest(status=status):
                self.put(status=status)
                self.put_end(days=3, minutes=5)

                assert " It can be changed until " in self.page()
                assert " (in 3 days)." in self.page()

    def test_reported(self):
        self.put(status="reported", finalizes_at=PURCHASED.replace(year=3026))

        page = self.page()

        start = page.index("Button has this order: it was reported")
        assert "It can be changed until Nov. 1, 3026, 7 a.m. (in 3" in page[start:]
        assert " days). There is nothing to do." in page[start:]

    @override_settings(USE_TZ=False)
    def test_without_time_zones(self):
        self.put(status="reported", finalizes_at=datetime(3026, 11, 1, 15))

        assert "It can be changed until Nov. 1, 3026, 3 p.m. (in 3" in self.page()

    def test_over(self):
        self.put(status="reported", finalizes_at=PURCHASED)

        assert (
            "It can no longer be changed: Button accepted changes until Nov. 1, 2026, "
            "6 a.m. ("
        ) in self.page()

    def test_not_of_interest(self):
        for status in ("cancelled", "closed", "dismissed"):
            with self.subTest(status=status):
                self.put(status=status, finalizes_at=PURCHASED)

                assert "be changed: Button" not in self.page()

    def test_cancelled_at_button(self):
        """Whatever the window is, Button does not bring the order back."""
        self.put(status="failed", reason="finalized")
        for days in (3, -3):
            with self.subTest(days=days):
                self.put_end(days=days)

                assert "It can be changed until" not in self.page()
                assert "be changed: Button" not in self.page()

    def test_unknown(self):
        self.put(status="reported")

        page = self.page()

        assert "It can" not in page
        assert "Can be changed until" not in page


class HostPageTests(HostTestCase):
    def put(self, **values):
        ButtonOrder.objects.filter(pk=self.row.pk).update(currency="USD", **values)

    def test_open_window(self):
        self.put(status="reported", finalizes_at=PURCHASED.replace(year=3026))

        assert "It can be changed until Nov. 1, 3026" in self.text()

    def test_closed(self):
        self.put(
            status="closed", reason="finalized", reported_total=4500, late_amount=2500
        )

        assert f"Closed {SENTENCES[4500, 2500]}{TODO}" in self.text()
