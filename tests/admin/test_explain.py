from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.contenttypes.models import ContentType
from django.test import override_settings
from django.utils import timezone

from django_button_orders.models import PausedAccount
from django_button_orders.models.clock import DatabaseNow, from_now
from django_button_orders.report.objects import with_refused_customer
from tests.admin.utils import AdminTestCase
from tests.shop.models import Order
from tests.utils import PURCHASED, button_settings

REFUSAL = "Button answered 400 to create: total must be an integer"


class StandingTestCase(AdminTestCase):
    def put(self, **values):
        ago = timezone.now() - timedelta(hours=3, minutes=5)
        super().put(**{"updated_at": ago, "reported_at": ago, **values})

    def check(self, sentence, **values):
        self.put(**values)
        page = self.page()

        assert sentence in page, page[page.index("Current state") :][:500]


class SiteTests(StandingTestCase):
    def test_pending(self):
        self.check(
            "The site live reports this order. SITE is not set here, so nothing is "
            "sent from here. This is correct in a copy of that shop. In the shop "
            "itself, set SITE to live and restart the workers.",
            site="live",
        )
        page = self.page()
        assert "Nothing would be sent from here: the site live reports" in page
        assert "curl" not in page[page.index("Next call to Button") :]

    @override_settings(BUTTON_ORDERS=button_settings(SITE="staging"))
    def test_settled(self):
        self.check(
            "There is nothing to do. The site live reports this order. SITE is "
            "staging here, so changes are not sent from here.",
            site="live",
            status="reported",
        )

    @override_settings(BUTTON_ORDERS=button_settings(SITE="live"))
    def test_this_site(self):
        self.put(site="live")

        assert "The site live" not in self.page()


class SettledTests(StandingTestCase):
    def test_just_now(self):
        sentence = "Button has this order: it was reported a moment ago."
        for use_tz in (True, False):
            with self.subTest(USE_TZ=use_tz), override_settings(USE_TZ=use_tz):
                self.check(sentence, status="reported", reported_at=DatabaseNow())

    def test_each_reason(self):
        sentences = {
            ("reported", ""): "Button has this order: it was reported 3 hours ago. "
            "There is nothing to do.",
            (
                "cancelled",
                "",
            ): "The order was cancelled 3 hours ago, and Button will not count it. "
            "This cannot be undone.",
            ("failed", "invalid"): "No valid report could be built 3 hours ago: total "
            "must be an integer. Correct the fields below and save",
            (
                "failed",
                "refused",
            ): "Button refused this order 3 hours ago: total must be an integer. "
            "Correct the order and retry.",
            ("failed", "finalized"): "It was too late to change this order at Button "
            "3 hours ago: total must be an integer. Report it under another order ID",
            ("failed", "exhausted"): "The last attempt failed 3 hours ago: total must "
            "be an integer. Fix the cause, then retry.",
            ("failed", "unauthorized"): "Button did not accept the API key of the "
            "account default 3 hours ago: total must be an integer. Correct API_KEY",
            ("failed", "unavailable"): "Button could not be reached 3 hours ago: total "
            "must be an integer. Retry.",
            ("failed", "no_token"): "It failed 3 hours ago: total must be an integer.",
            ("dismissed", "no_token"): "It has no attribution token",
            ("dismissed", "refused"): "It was dismissed 3 hours ago: total must be an "
            "integer. Nothing more is sent.",
            ("dismissed", ""): "It was dismissed 3 hours ago: total must be an",
        }
        for (status, reason), sentence in sentences.items():
            with self.subTest(status=status, reason=reason):
                self.check(
                    sentence,
                    status=status,
                    reason=reason,
                    next_attempt_at=None,
                    last_error=REFUSAL,
                )

    def test_token_that_came_too_late(self):
        """There is no remedy, and the page does not say that all is well."""
        tied_once = "Button ties a token to an order at the first report, and it cannot"
        warnings = {
            "": "Warning: Reported without its current attribution token. "
            f"{tied_once} be added later.",
            "srctok-0": "Warning: Reported with another attribution token than its "
            f"current one. {tied_once} be changed later.",
        }
        for tied, warning in warnings.items():
            with self.subTest(tied=tied):
                self.check(
                    f"it was reported 3 hours ago. {warning}",
                    status="reported",
                    reported_revision=1,
                    reported_digest=self.row.desired_digest(),
                    reported_btn_ref=tied,
                    has_late_token=True,
                )
                page = self.page()
                preview = page[page.index("Next call to Button") :]
                assert "Nothing would be sent" in preview
                assert warning in preview

    def test_token_that_is_tied(self):
        self.put(
            status="reported",
            reported_revision=1,
            reported_digest=self.row.desired_digest(),
            reported_btn_ref="srctok-1",
        )

        assert "Warning:" not in self.page()

    def test_lines_that_do_not_sum_to_the_total(self):
        warning = (
            "Warning: Its lines sum to 1,075.00 USD, but its total is 70.00 USD. "
            "Spread discounts over the lines, and leave taxes and delivery out of both."
        )
        lines = [
            {"identifier": "MUG", "total": 7500},
            {"identifier": "TEA", "amount": 50000, "quantity": 2},
        ]
        for status, reason, shown in (
            ("pending", "", True),
            ("reported", "", True),
            ("failed", "refused", True),
            ("dismissed", "", False),
            ("cancelled", "", False),
            ("closed", "finalized", False),
        ):
            with self.subTest(status=status):
                self.put(status=status, reason=reason, line_items=lines)
                page = self.page()
                box = page[: page.index("Next call to Button")]

                assert (warning in box) == shown
                assert not shown or "There is nothing to do." not in box
        self.put(status="pending", cancel_requested_at=timezone.now())
        assert "Warning:" not in self.page()

    def test_lines_that_sum_to_the_total(self):
        good = {"identifier": "MUG", "total": 7000}
        discount = {"identifier": "VOUCHER", "total": -500}
        for lines in ([good], [{**good, "total": 7500}, discount], [], None):
            with self.subTest(lines=lines):
                self.put(line_items=lines)

                assert "Warning:" not in self.page()

    def test_lines_that_cannot_be_summed(self):
        """A shop may have written anything into the columns of a direct order."""
        good = {"identifier": "MUG", "total": 5}
        for values in (
            {"line_items": "MUG"},
            {"line_items": {"identifier": "MUG", "total": 5}},
            {"line_items": [good, None, "TEA", {"total": 1.5}]},
            {"line_items": [good], "total": None},
        ):
            with self.subTest(values=values):
                self.put(**{"total": 7000, **values})

                assert "Warning:" not in self.page()
        for currency in (None, "", "ZZZ"):
            with self.subTest(currency=currency):
                self.put(total=7000, line_items=[good], currency=currency)

                assert f"sum to 5 {currency or '?'}, but its total" in self.page()

    def test_late_token_and_lines_that_differ(self):
        self.put(
            status="reported",
            reported_btn_ref="",
            has_late_token=True,
            line_items=[{"identifier": "MUG", "total": 5}],
        )

        assert "be added later. Its lines sum to 0.05 USD" in self.page()

    def test_customer_that_came_too_late(self):
        digest = with_refused_customer(self.row.desired_digest())

        self.check(
            "Its customer changed when Button no longer accepted changes, so Button "
            "keeps the earlier customer. There is nothing to do.",
            status="reported",
            reported_revision=1,
            reported_digest=digest,
        )
        assert "Nothing would be sent: Button accepts no more" in self.page()

    def test_what_was_said(self):
        said = {
            "": "it gave no reason.",
            "Button answered 400 to create: without a message": "it gave no reason.",
            REFUSAL: "total must be an integer.",
            "Is it?": "Is it?",
            "two\n lines": "two lines.",
            "x" * 301: f"{'x' * 299}…",
            "Gave up after all attempts. The last one: Button could not be reached.": (
                "Button could not be reached."
            ),
        }
        for error, sentence in said.items():
            with self.subTest(error=error):
                self.check(
                    f"Button refused this order 3 hours ago: {sentence} Correct the",
                    status="failed",
                    reason="refused",
                    last_error=error,
                )

    def test_invalid_order_of_the_shop(self):
        self.check(
            "Correct the shop's order or its adapter, and retry.",
            status="failed",
            reason="invalid",
            source_id="1",
            source_type=ContentType.objects.get_for_model(Order),
        )

    def test_cancellation(self):
        self.check(
            "Button refused to cancel this order 3 hours ago: it gave no",
            status="failed",
            reason="refused",
            cancel_requested_at=PURCHASED,
        )

    def test_dismissed_without_a_word(self):
        for reason in ("", "refused"):
            with self.subTest(reason=reason):
                self.check(
                    "It was dismissed 3 hours ago. Nothing more is sent.",
                    status="dismissed",
                    reason=reason,
                )


class PendingTests(StandingTestCase):
    @override_settings(BUTTON_ORDERS=button_settings(FIRST_REPORT_DELAY=300))
    def test_held(self):
        self.check(
            "FIRST_REPORT_DELAY holds its first report, so that the shop can finish "
            "the order. It will be sent automatically in 4 minutes",
            next_attempt_at=from_now(299),
        )

    def test_due(self):
        assert "It is due, and a worker will report it shortly." in self.page()

    def test_cancellation_due(self):
        self.check("Its cancellation is due", cancel_requested_at=PURCHASED)

    def test_due_for_long(self):
        self.check(
            "It became due 3 hours ago, and no worker has reported it yet. Check that",
            next_attempt_at=timezone.now() - timedelta(hours=3, minutes=5),
        )

    def test_waiting(self):
        later = PURCHASED.replace(year=3026)
        beginnings = {
            "": "It",
            "unavailable": "Button could not be reached or could not process this "
            "order: it gave no reason. It",
            "unauthorized": "Button does not allow the key of the account default to "
            "do this: it gave no reason. Ask Button which rights the key has. The "
            "order",
        }
        for reason, beginning in beginnings.items():
            with self.subTest(reason=reason):
                self.put(next_attempt_at=later, reason=reason)
                page = self.page()

                assert f"{beginning} will be retried automatically in 36" in page
                assert " days (Nov. 1, 3026, 7 a.m.)." in page

    @override_settings(USE_TZ=False)
    def test_waiting_without_time_zones(self):
        self.put(next_attempt_at=datetime(3026, 11, 1, 12))

        assert " days (Nov. 1, 3026, noon)" in self.page()

    def test_in_flight(self):
        self.check("A worker is reporting it right now.", lease_expires_at=from_now(60))

    @override_settings(BUTTON_ORDERS=button_settings(ENABLED=False))
    def test_disabled(self):
        assert "ENABLED is false" in self.page()

    def test_unknown_account(self):
        self.check("It is due", account="gone")


class PausedTests(StandingTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        PausedAccount.objects.create(
            account="default",
            paused_at=timezone.now() - timedelta(hours=2, minutes=5),
            probe_at=timezone.now() + timedelta(minutes=4, seconds=50),
        )

    def test_pending(self):
        self.check(
            "Button refused the API key of the account default 2 hours ago, so the "
            "account is paused and this order waits. Correct API_KEY, restart"
        )

    def test_settled(self):
        for status in ("reported", "failed", "dismissed"):
            with self.subTest(status=status):
                self.check(
                    "The account default is paused, because Button refused its API "
                    "key 2 hours ago. Changes of this order wait.",
                    status=status,
                )

    def test_another_account(self):
        PausedAccount.objects.update(account="eu")

        assert "is paused" not in self.page()

    @override_settings(BUTTON_ORDERS=button_settings(ENABLED=False))
    def test_disabled_as_well(self):
        """ENABLED comes first: to resume the account would send nothing."""
        assert "ENABLED is false" in self.page()
