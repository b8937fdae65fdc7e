from __future__ import annotations

import threading
from uuid import uuid4

from django.db import connection
from django.db.models import F
from django.test import TestCase, TransactionTestCase, override_settings

from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.clock import DatabaseNow, from_now
from django_button_orders.models.querysets import MANY
from tests.utils import LONG_AGO, button_settings, create_row, seconds_from_now

rows = ButtonOrder.objects


@override_settings(BUTTON_ORDERS=button_settings())
class StateTests(TestCase):
    def test_new_row_is_due(self):
        create_row()

        assert rows.due().count() == 1
        assert rows.waiting().count() == rows.in_flight().count() == 0

    def test_bulk_created_row_is_due(self):
        rows.bulk_create([ButtonOrder(order_id="1"), ButtonOrder(order_id="2")])

        assert rows.due().count() == 2

    def test_later(self):
        create_row()
        rows.update(next_attempt_at=from_now(60))

        assert rows.waiting().count() == 1
        assert rows.due().count() == 0

    def test_leased(self):
        create_row()
        rows.update(lease_expires_at=from_now(60))

        assert rows.in_flight().count() == 1
        assert rows.due().count() == rows.waiting().count() == 0

    def test_expired_lease(self):
        create_row()
        rows.update(lease_expires_at=from_now(-1))

        assert rows.due().count() == 1
        assert rows.in_flight().count() == 0

    def test_only_pending_is_due(self):
        row = create_row()
        for status in ButtonOrder.Status:
            with self.subTest(status=status):
                rows.filter(pk=row.pk).update(status=status)

                assert rows.due().exists() == (status == "pending")

    def test_closing_unsent(self):
        """Pending ones count until they are closed, failed ones while they can be."""
        row = create_row()
        day = 24 * 3600
        for status, seconds, limit, is_closing in (
            ("pending", day - 60, day, True),
            ("pending", day + 60, day, False),
            ("pending", day + 60, 2 * day, True),
            ("pending", -3600, day, True),
            ("pending", None, day, False),
            ("failed", day - 60, day, True),
            ("failed", -3600, day, False),
            ("reported", 3600, day, False),
            ("cancelled", 3600, day, False),
            ("closed", 3600, day, False),
            ("dismissed", 3600, day, False),
        ):
            with self.subTest(status=status, seconds=seconds, limit=limit):
                moment = None if seconds is None else from_now(seconds)
                rows.filter(pk=row.pk).update(status=status, finalizes_at=moment)

                assert rows.closing_unsent(limit).exists() == is_closing

    def test_closing_unsent_of_an_order_that_is_cancelled_at_button(self):
        row = create_row(status="failed", reason="finalized")
        rows.filter(pk=row.pk).update(finalizes_at=from_now(3600))

        assert not rows.closing_unsent().exists()

    def test_closing_unsent_at_another_site(self):
        row = create_row()
        rows.filter(pk=row.pk).update(finalizes_at=from_now(3600), site="live")

        assert not rows.closing_unsent().exists()
        with override_settings(BUTTON_ORDERS=button_settings(SITE="live")):
            assert rows.closing_unsent().exists()

    def test_clock_is_the_database_s(self):
        row = create_row()
        row = rows.annotate(now=DatabaseNow()).get(pk=row.pk)

        assert abs(seconds_from_now(row.now)) < 5
        assert abs(seconds_from_now(row.next_attempt_at)) < 5

    def test_instants_of_one_statement_are_equal(self):
        create_row()
        dated = rows.annotate(now=DatabaseNow(), then=from_now(0))

        assert dated.filter(then=F("now")).exists()
        assert dated.filter(next_attempt_at__lte=F("then")).exists()


@override_settings(BUTTON_ORDERS=button_settings())
class ClaimTests(TestCase):
    def test_lease_token_and_attempt(self):
        create_row()

        [row] = rows.claim(limit=10, lease_seconds=120)

        assert row.attempts == 1
        assert row.unanswered == 1
        assert row.lease_token is not None
        assert 115 < seconds_from_now(row.lease_expires_at) <= 121
        assert row.status == "pending"

    def test_second_finds_nothing(self):
        create_row()
        rows.claim(limit=10, lease_seconds=120)

        assert rows.claim(limit=10, lease_seconds=120) == []
        assert rows.get().attempts == 1

    def test_oldest_first(self):
        for order_id in ("1", "2", "3"):
            create_row(order_id=order_id)
        rows.filter(order_id="3").update(next_attempt_at=LONG_AGO)

        claimed = rows.claim(limit=1, lease_seconds=120)

        assert [row.order_id for row in claimed] == ["3"]

    def test_narrowed(self):
        create_row()
        eu = create_row(account="eu")

        claimed = rows.filter(account="eu").claim(limit=10, lease_seconds=120)

        assert claimed == [eu]

    def test_after_the_lease(self):
        create_row()
        [first] = rows.claim(limit=1, lease_seconds=120)
        rows.update(lease_expires_at=from_now(-1))

        [second] = rows.claim(limit=1, lease_seconds=120)

        assert second.attempts == 2
        assert second.lease_token != first.lease_token


@override_settings(BUTTON_ORDERS=button_settings())
class MarkChangedTests(TestCase):
    def test_any_state_becomes_pending(self):
        row = create_row()
        for status in ButtonOrder.Status:
            with self.subTest(status=status):
                rows.update(status=status, reason="refused", attempts=7)
                before = rows.get()

                assert rows.mark_changed() == 1

                row.refresh_from_db()
                assert row.revision == before.revision + 1
                assert (row.status, row.reason, row.attempts) == ("pending", "", 0)
                assert rows.due().exists()

    def test_under_a_lease(self):
        row = create_row()
        rows.claim(limit=1, lease_seconds=120)

        rows.mark_changed()

        row.refresh_from_db()
        assert row.attempts == 1
        assert row.lease_token is not None


@override_settings(BUTTON_ORDERS=button_settings())
class MakeDueTests(TestCase):
    def test_more_than_a_batch(self):
        many = [ButtonOrder(order_id=f"{number}") for number in range(MANY + 5)]
        rows.bulk_create(many)
        rows.update(next_attempt_at=from_now(200))

        assert rows.all().make_due() == rows.due().count() == MANY + 5

    def test_waiting_rows_alone(self):
        create_row(order_id="due")
        failed, leased = create_row(order_id="failed"), create_row(order_id="leased")
        rows.filter(pk=failed.pk).update(status="failed")
        rows.filter(pk=leased.pk).update(lease_expires_at=from_now(60))
        rows.exclude(order_id="due").update(next_attempt_at=from_now(200))

        assert rows.all().make_due() == 0

    def test_account_with_a_new_key(self):
        """A new key does not help an order that Button refuses to change (403)."""
        for order_id, reason, code in (
            ("1", "unauthorized", 401),
            ("2", "unauthorized", 403),
            ("3", "unavailable", 500),
        ):
            row = create_row(order_id=order_id)
            rows.filter(pk=row.pk).update(reason=reason, last_status_code=code)
        rows.update(next_attempt_at=from_now(200))

        assert rows.all().make_unauthorized_due() == 1
        assert [row.order_id for row in rows.due()] == ["1"]


@override_settings(BUTTON_ORDERS=button_settings())
class PauseTests(TestCase):
    def test_pause_again(self):
        paused = PausedAccount.objects
        for seconds in (300, 600):
            paused.all().pause("eu", seconds=seconds, error="No.")

        assert 590 < seconds_from_now(paused.get().probe_at) < 605

    def test_one_probe(self):
        paused = PausedAccount.objects.all()
        paused.pause("eu", seconds=-1, error="")

        assert paused.reserve_probe("eu", seconds=300) is True
        assert paused.reserve_probe("eu", seconds=300) is False


@override_settings(BUTTON_ORDERS=button_settings())
class RaceTests(TransactionTestCase):
    """Several connections claim at once."""

    def test_each_row_has_one_winner(self):
        if connection.vendor == "sqlite":
            # A database in memory has only one connection, so the second claim
            # comes between the reading and the writing of the first.
            self.claim_in_between()
            return
        for number in range(40):
            create_row(order_id=f"{number}")
        won: list[str] = []

        def work():
            for _ in range(40):
                won.extend(row.order_id for row in rows.claim(limit=3, lease_seconds=9))
            connection.close()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(won) == sorted(f"{number}" for number in range(40))

    def test_lost_race_is_run_again(self):
        """If locked rows cannot be skipped, the loser claims the next rows."""
        for number in range(6):
            create_row(order_id=f"{number}")
        lease = {"lease_token": uuid4(), "lease_expires_at": from_now(60)}
        stolen: list[int] = []

        def steal(execute, sql, params, many, context):
            if sql.startswith("UPDATE") and not stolen:
                stolen.extend(rows.order_by("pk").values_list("pk", flat=True)[:3])
                rows.filter(pk__in=stolen).update(**lease)
            return execute(sql, params, many, context)

        with connection.execute_wrapper(steal):
            pks = rows.order_by("pk").lease_in_a_race(
                3, {**lease, "lease_token": uuid4()}
            )

        assert len(pks) == 3
        assert not {*pks} & {*stolen}
        assert rows.in_flight().count() == 6

    def claim_in_between(self):
        row = create_row()
        token = uuid4()

        def steal(execute, sql, params, many, context):
            if sql.startswith("UPDATE") and not stolen:
                stolen.append(sql)
                rows.update(lease_token=token, lease_expires_at=from_now(60))
            return execute(sql, params, many, context)

        stolen: list[str] = []
        with connection.execute_wrapper(steal):
            claimed = rows.claim(limit=1, lease_seconds=120)

        row.refresh_from_db()
        assert claimed == []
        assert row.lease_token == token
        assert row.attempts == 0
