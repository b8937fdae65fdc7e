from __future__ import annotations

import threading
from datetime import timedelta

from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_button_orders.models import ButtonOrder, Difference, Submission
from django_button_orders.operations.retention import (
    count_prunable,
    find_retentions,
    prune,
)
from django_button_orders.tasks import prune_submissions
from tests.utils import analyze, button_settings, create_row

ACCOUNTS = {
    "eu": {"KEEP_BODIES_DAYS": 7, "KEEP_SUBMISSIONS_DAYS": 90},
    "uk": {"KEEP_SUBMISSIONS_DAYS": 1000},
}


def make_submission(row, days, **values):
    return Submission(
        **{
            "button_order": row,
            "operation": "create",
            "trigger": "save",
            "revision": 1,
            "started_at": timezone.now() - timedelta(days=days),
            "duration_ms": 50,
            "method": "POST",
            "url": "https://button.test/v1/order",
            "request_body": "{}",
            "response_body": "{}",
            "outcome": "succeeded",
            **values,
        }
    )


def create(days, status="reported", account="default", using="default"):
    row = create_row(order_id=f"{status}-{days}", account=account, using=using)
    ButtonOrder.objects.using(using).filter(pk=row.pk).update(status=status)
    submission = make_submission(row, days)
    submission.save(using=using)
    return submission


def state_of(submission):
    found = Submission.objects.filter(pk=submission.pk).first()
    if found is None:
        return "deleted"
    assert found.has_bodies == bool(found.request_body) == bool(found.response_body)
    return "whole" if found.has_bodies else "emptied"


@override_settings(BUTTON_ORDERS=button_settings())
class PruneTests(TestCase):
    databases = {"default", "archive"}

    def test_bodies_first_rows_later(self):
        submissions = [create(days) for days in (29, 31, 364, 366)]

        prune_submissions()

        states = [state_of(submission) for submission in submissions]
        assert states == ["whole", "emptied", "emptied", "deleted"]
        assert ButtonOrder.objects.count() == 4

    def test_pending_rows_keep_theirs(self):
        kept = create(400, status="pending")

        prune_submissions()

        assert state_of(kept) == "whole"

    def test_every_database(self):
        create(400, using="archive")

        prune_submissions()

        assert not Submission.objects.using("archive").exists()

    @override_settings(
        BUTTON_ORDERS=button_settings(KEEP_BODIES_DAYS=1, KEEP_SUBMISSIONS_DAYS=2)
    )
    def test_settings(self):
        create(3)

        prune_submissions()

        assert not Submission.objects.exists()

    @override_settings(BUTTON_ORDERS=button_settings(ACCOUNTS=ACCOUNTS))
    def test_settings_of_accounts(self):
        """An account that left the settings has the default account's retention."""
        expected = {
            "default": ["whole", "emptied", "emptied", "deleted"],
            "eu": ["emptied", "emptied", "deleted", "deleted"],
            "uk": ["whole", "emptied", "emptied", "emptied"],
            "gone": ["whole", "emptied", "emptied", "deleted"],
        }
        made = {
            name: [create(days, account=name) for days in (8, 40, 100, 400)]
            for name in expected
        }

        prune(using="default")

        found = {name: [state_of(item) for item in made[name]] for name in made}
        assert found == expected

    @override_settings(BUTTON_ORDERS=button_settings(ACCOUNTS=ACCOUNTS))
    def test_days_for_all_accounts(self):
        made = [create(3), create(3, account="eu"), create(3, account="uk")]

        retentions = find_retentions(bodies_days=2)
        prune(using="default", retentions=retentions)

        assert [state_of(item) for item in made] == ["emptied"] * 3

    def test_counts(self):
        for days in (29, 31, 40, 366):
            create(days)
        create(41, status="pending")

        counted = count_prunable(using="default", retentions=find_retentions())
        pruned = prune(using="default")
        again = prune(using="default")

        assert counted == pruned
        assert (pruned.bodies_emptied, pruned.submissions_deleted) == (2, 1)
        assert (again.bodies_emptied, again.submissions_deleted) == (0, 0)

    def test_old_differences(self):
        for days in (364, 366):
            Difference.objects.create(
                side="shop",
                kind="missing",
                order_id=f"{days}",
                found_at=timezone.now() - timedelta(days=days),
            )

        prune(using="default")

        assert Difference.objects.get().order_id == "364"


@override_settings(BUTTON_ORDERS=button_settings())
class ChunkTests(TestCase):
    """Each transaction prunes one chunk, and starts where the last one ended."""

    def setUp(self):
        self.row = create_row()
        ButtonOrder.objects.update(status="reported")
        self.kept = create_row(order_id="pending")
        # An import may leave many submissions of the same moment. Half of them stay.
        now = timezone.now()
        Submission.objects.bulk_create(
            make_submission(row, 0, started_at=now - timedelta(days=40 + number // 8))
            for number in range(24)
            for row in (self.row, self.kept)
        )

    def whole(self, row):
        return row.submissions.filter(has_bodies=True).count()

    def test_every_one_once(self):
        seen = []

        pruned = prune(using="default", batch_size=5, progress=seen.append)

        assert seen == [5, 5, 5, 5, 4]
        assert (pruned.bodies_emptied, pruned.is_complete) == (24, True)
        assert (self.whole(self.row), self.whole(self.kept)) == (0, 24)

    def test_order_that_becomes_pending_meanwhile(self):
        def move(execute, sql, *arguments):
            if sql.startswith("UPDATE") and "request_body" in sql and not moved:
                moved.append(sql)
                ButtonOrder.objects.update(status="pending")
            return execute(sql, *arguments)

        moved = []
        with connection.execute_wrapper(move):
            prune(using="default")

        assert moved
        assert self.whole(self.row) == 24

    def test_stopped(self):
        """A run without time prunes one chunk."""
        left = []
        while True:
            pruned = prune(using="default", batch_size=10, is_stopped=lambda: True)
            left.append(self.whole(self.row))
            if pruned.is_complete:
                break

        assert left == [14, 4, 0, 0]

    def test_what_is_emptied_is_not_read_again(self):
        prune(using="default", batch_size=5)

        with CaptureQueriesContext(connection) as queries:
            prune(using="default", batch_size=5)

        # One query for deletable and emptiable submissions each, one for differences.
        assert len(queries) == 3


@override_settings(BUTTON_ORDERS=button_settings())
class IndexTests(TransactionTestCase):
    """A query never reads what was pruned before."""

    def setUp(self):
        row = create_row()
        ButtonOrder.objects.update(status="reported")
        Submission.objects.bulk_create(
            make_submission(
                row,
                days=number / 10 + 1,
                has_bodies=number < 310,
                request_body="{}" if number < 310 else "",
            )
            for number in range(3660)
        )
        analyze(ButtonOrder, Submission)

    def test_plans(self):
        with CaptureQueriesContext(connection) as queries:
            pruned = prune(using="default", batch_size=5)

        assert (pruned.bodies_emptied, pruned.submissions_deleted) == (20, 20)
        searches = [
            query["sql"]
            for query in queries
            if "ORDER BY" in query["sql"].upper() and "_submission" in query["sql"]
        ]
        # All queries but the first of each kind start where the one before ended.
        assert len([sql for sql in searches if " OR " in sql]) == len(searches) - 2 > 6
        for sql in searches:
            name = "bodies" if "has_bodies" in sql else "lately"
            plan = self.explain(sql)
            assert f"button_submission_{name}" in plan, f"{sql}\n{plan}"

    def explain(self, sql):
        verb = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
        with connection.cursor() as cursor:
            cursor.execute(f"{verb} {sql}")
            return "\n".join(str(line) for line in cursor.fetchall())


@override_settings(BUTTON_ORDERS=button_settings())
class LockTests(TransactionTestCase):
    def test_what_the_shop_has_locked_is_left_for_later(self):
        """SQLite locks the whole database, and only during a write."""
        can_skip = connection.features.has_select_for_update_skip_locked
        for days in (31, 32, 33):
            create(days)
        pruned = []

        def prune_here():
            try:
                pruned.append(prune(using="default").bodies_emptied)
            finally:
                connection.close()

        thread = threading.Thread(target=prune_here)
        with transaction.atomic():
            order = ButtonOrder.objects.get(order_id="reported-32")
            if can_skip:
                list(order.submissions.select_for_update())
                thread.start()
                thread.join(60)
                assert not thread.is_alive()
        prune_here()

        assert pruned == ([2, 1] if can_skip else [3])
