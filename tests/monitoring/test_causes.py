from __future__ import annotations

from datetime import timedelta

from django.test import TestCase, override_settings

from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.clock import from_now
from django_button_orders.monitoring.causes import CAUSES, Look, reporting_accounts
from django_button_orders.monitoring.snapshot import database_time
from tests.utils import button_settings, create_row

HOUR, DAY = 3600, 24 * 3600


def find(*, last=None):
    """Return the lines that are found, by cause."""
    now = database_time("default")
    at = None if last is None else now - timedelta(seconds=last)
    look = Look(using="default", now=now, last=at, accounts=reporting_accounts())
    found = {cause.code: list(cause.find(look)) for cause in CAUSES}
    return {code: lines for code, lines in found.items() if lines}


def order(order_id="1994", *, age=2 * HOUR, reported=None, **values):
    """Create an order that came, and was reported, so many seconds ago."""
    row = create_row(order_id=order_id)
    moments = {"created_at": from_now(-age), "updated_at": from_now(-age)}
    if reported is not None:
        moments["reported_at"] = from_now(-reported)
        values = {"status": "reported", "reported_revision": 1, **values}
    ButtonOrder.objects.filter(pk=row.pk).update(**{**moments, **values})
    return row


@override_settings(BUTTON_ORDERS=button_settings())
class UnreportedTests(TestCase):
    def find(self):
        return find().get("nothing_reported", [])

    def test_none(self):
        assert self.find() == []
        order("1", reported=HOUR)
        assert self.find() == []

    def test_one_order(self):
        order("1")

        [line] = self.find()

        assert line.startswith(
            "Account default: 1 order came more than an hour ago and is not reported. "
            "None was reported since 20"
        )
        assert line.endswith(" UTC: 1.")

    def test_many_orders(self):
        for number in range(5):
            order(number)

        [line] = self.find()

        assert ": 5 orders came more than an hour ago and are not" in line
        assert line.endswith(" UTC: 4, 3, 2, ….")

    def test_failed_orders_count(self):
        order(status="failed", reason="invalid")

        assert len(self.find()) == 1

    def test_first_hour(self):
        order(age=HOUR - 60)

        assert self.find() == []

    def test_any_report_since_is_enough(self):
        """Also that of an order that came earlier, or of an update."""
        order("1", age=9 * DAY, reported=HOUR)
        order("2", age=2 * HOUR)

        assert self.find() == []

    def test_report_before_the_order_came(self):
        order("1", age=9 * DAY, reported=3 * HOUR)
        order("2", age=2 * HOUR)

        assert len(self.find()) == 1

    def test_orders_of_long_ago(self):
        """A shop that pauses for a season is not told each day of its last order."""
        order(age=4 * DAY, status="failed", reason="invalid")

        assert self.find() == []

    def test_change_that_waits_is_no_order_that_came(self):
        order(reported=3 * HOUR, status="pending")

        assert self.find() == []

    def test_settled_without_a_report(self):
        order("1", status="dismissed", reason="no_token")
        order("2", status="cancelled")

        assert self.find() == []

    def test_delayed_orders(self):
        order(age=2 * HOUR)

        with override_settings(
            BUTTON_ORDERS=button_settings(FIRST_REPORT_DELAY=2 * HOUR)
        ):
            assert self.find() == []
            ButtonOrder.objects.update(created_at=from_now(-3 * HOUR - 60))
            assert len(self.find()) == 1

    def test_paused_account_has_its_message(self):
        order()
        PausedAccount.objects.pause("default", seconds=9, error="")

        assert list(find()) == ["account_paused"]

    def test_other_account(self):
        order("1", account="eu")
        order("2", reported=HOUR)

        assert self.find() == []
        with override_settings(
            BUTTON_ORDERS=button_settings(ACCOUNTS={"eu": {"API_KEY": "sk-eu"}})
        ):
            [line] = self.find()
        assert line.startswith("Account eu: ")

    def test_disabled_account(self):
        order()

        with override_settings(BUTTON_ORDERS=button_settings(ENABLED=False)):
            assert self.find() == []

    def test_other_site(self):
        order(site="live")

        assert self.find() == []


def sell(number, tokens, *, age):
    """Create orders that were placed ``age`` seconds ago, some with a token."""
    placed = database_time("default") - timedelta(seconds=age)
    ButtonOrder.objects.bulk_create(
        ButtonOrder(
            order_id=f"{age}-{index}",
            total=1,
            currency="USD",
            purchase_date=placed,
            btn_ref="srctok-1" if index < tokens else "",
            status="reported",
        )
        for index in range(number)
    )


@override_settings(BUTTON_ORDERS=button_settings())
class CollapsedTests(TestCase):
    def find(self):
        return find().get("tokens_collapsed", [])

    def test_collapsed(self):
        sell(100, 40, age=3 * DAY)
        sell(50, 1, age=HOUR)

        assert self.find() == [
            "Account default: 1 of the 50 orders of the last 24 hours have an "
            "attribution token. In the seven days before, 40 of 100 had one."
        ]

    def test_none_at_all(self):
        sell(100, 40, age=3 * DAY)
        sell(30, 0, age=HOUR)

        assert len(self.find()) == 1

    def test_half_is_no_collapse(self):
        sell(1000, 400, age=3 * DAY)
        sell(500, 100, age=HOUR)

        assert self.find() == []

    def test_chance(self):
        """Of ten expected tokens, four may be left by chance."""
        sell(100, 40, age=3 * DAY)
        sell(25, 4, age=HOUR)

        assert self.find() == []

    def test_few_orders(self):
        """Nine expected tokens and none are not enough."""
        sell(1000, 50, age=3 * DAY)
        sell(180, 0, age=HOUR)

        assert self.find() == []

    def test_no_orders(self):
        sell(100, 40, age=3 * DAY)

        assert self.find() == []

    def test_short_week(self):
        sell(19, 19, age=3 * DAY)
        sell(100, 0, age=HOUR)

        assert self.find() == []

    def test_orders_before_the_week(self):
        sell(100, 40, age=9 * DAY)
        sell(50, 0, age=HOUR)

        assert self.find() == []

    def test_erased_orders_are_not_counted(self):
        sell(100, 40, age=3 * DAY)
        sell(50, 0, age=HOUR)
        ButtonOrder.objects.filter(btn_ref="").update(erased_at=from_now(0))

        assert self.find() == []


@override_settings(BUTTON_ORDERS=button_settings())
class PausedTests(TestCase):
    def test_paused(self):
        PausedAccount.objects.pause("default", seconds=9, error="sk-tests")

        [line] = find()["account_paused"]

        assert line.startswith(
            "Account default: Button refused its API key. Paused on 20"
        )
        assert "sk-tests" not in line

    def test_account_that_the_settings_do_not_have(self):
        PausedAccount.objects.pause("gone", seconds=9, error="")

        assert find() == {}


@override_settings(BUTTON_ORDERS=button_settings())
class ClosingTests(TestCase):
    def close(self, order_id, hours, **values):
        values = {
            "status": "pending",
            "reason": "unavailable",
            "finalizes_at": from_now(hours * HOUR),
            **values,
        }
        return order(order_id, reported=DAY, **values)

    def find(self):
        return find().get("closing_unsent", [])

    def test_closing(self):
        self.close("1", 23)
        self.close("2", 2)

        [line] = self.find()

        assert ": the changes of 2 orders are not sent. Button accepts the" in line
        assert line.endswith(" UTC: 2, 1.")

    def test_one(self):
        self.close("1", 2, status="failed", reason="refused")

        [line] = self.find()

        assert ": the change of 1 order is not sent. Button accepts it until 20" in line

    def test_fresh_change(self):
        """The next sweep sends it, so each return would cause a false alarm."""
        self.close("1", 2, reason="", next_attempt_at=from_now(-540))
        assert self.find() == []

        self.close("2", 2, reason="", next_attempt_at=from_now(-660))
        [line] = self.find()
        assert line.endswith(" UTC: 2.")

    def test_later(self):
        self.close("1", 25)

        assert self.find() == []

    def test_nothing_unsent(self):
        self.close("1", 2, status="reported")
        self.close("2", 2, status="cancelled")

        assert self.find() == []


@override_settings(BUTTON_ORDERS=button_settings())
class NewFailureTests(TestCase):
    def fail(self, order_id, age=HOUR, **values):
        values = {"reason": "refused", "last_status_code": 422, **values}
        # Reported before, so that it is no order of which nothing is reported.
        return order(order_id, age=age, status="failed", reported_revision=1, **values)

    def find(self, **values):
        return find(**values).get("new_failure", [])

    def test_new(self):
        self.fail("1")
        self.fail("2")

        assert self.find() == [
            "Account default: 2 orders failed. Button refused it (refused), HTTP 422: "
            "2, 1."
        ]

    def test_no_answer(self):
        self.fail("1", reason="invalid", last_status_code=None)

        assert self.find() == [
            "Account default: 1 order failed. No valid report could be built "
            "(invalid): 1."
        ]

    def test_kinds(self):
        self.fail("1")
        self.fail("2", last_status_code=400)
        self.fail("3", reason="taken", last_status_code=409)

        assert len(self.find()) == 3

    def test_kind_of_earlier(self):
        """An older failed order has the same kind, so that a person knows of it."""
        self.fail("1", age=2 * DAY)
        self.fail("2")

        assert self.find() == []

    def test_before_the_last_message(self):
        self.fail("1", age=2 * HOUR)

        assert self.find(last=HOUR) == []
        assert len(self.find(last=3 * HOUR)) == 1

    def test_last_message_is_long_ago(self):
        self.fail("1", age=2 * DAY)

        assert len(self.find(last=3 * DAY)) == 1

    def test_dismissed(self):
        self.fail("1")
        ButtonOrder.objects.failed().dismiss()

        assert self.find() == []

    def test_errors_are_not_quoted(self):
        self.fail("1", last_error="ValueError: jane@example.com")

        assert "jane" not in str(self.find())
