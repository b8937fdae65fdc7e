from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.test import TestCase, TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from django_button_orders.delivery.claims import Claims, claim_one, enabled_rows
from django_button_orders.delivery.sweep import is_crowded
from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.clock import from_now
from django_button_orders.monitoring.current import find_oldest_due
from tests.utils import LONG_AGO, analyze, button_settings, create_row

ACCOUNTS = {"eu": {"API_KEY": "sk-eu"}, "us": {"API_KEY": "sk-us"}}


def ids_of(attempts):
    return [attempt.row.order_id for attempt in attempts]


def accounts_of(attempts):
    return {attempt.row.account for attempt in attempts}


def of_site(site):
    return override_settings(BUTTON_ORDERS=button_settings(SITE=site))


class SiteTests(TestCase):
    """A row that another site has reported is not reported."""

    def setUp(self):
        for site in ("", "live", "staging"):
            row = create_row(order_id=f"of {site}")
            ButtonOrder.objects.filter(pk=row.pk).update(site=site)

    def pk_of(self, site):
        return ButtonOrder.objects.get(site=site).pk

    def claim_all(self):
        claims = Claims(enabled_rows("default"))
        return sorted(ids_of(claims.claim(9)))

    def test_sweep(self):
        for site, claimed in (
            ("", ["of "]),
            ("live", ["of ", "of live"]),
            ("staging", ["of ", "of staging"]),
            ("Live", ["of "]),
        ):
            with self.subTest(site=site), of_site(site):
                assert self.claim_all() == claimed
            ButtonOrder.objects.update(lease_expires_at=None)

    def test_one_row(self):
        with of_site("staging"):
            for site, count in (("", 1), ("live", 0), ("staging", 1)):
                pk = self.pk_of(site)
                attempts = claim_one(pk, using="default", trigger="save")

                assert len(attempts) == count

    def test_without_skip_locked(self):
        """The UPDATE repeats the condition."""
        with of_site("live"):
            rows = ButtonOrder.objects.filter(site="staging")

            assert rows.lease_in_a_race(5, {"attempts": 9}) == []

    def test_probe(self):
        """It would tell Button of the order, too."""
        PausedAccount.objects.create(account="default", probe_at=LONG_AGO)
        ButtonOrder.objects.exclude(site="live").delete()

        with of_site("staging"):
            assert self.claim_all() == []

        assert PausedAccount.objects.get().probe_at == LONG_AGO

    def test_throttled(self):
        values = button_settings(SITE="staging", RATE_LIMIT=0.001)
        ButtonOrder.objects.exclude(site="live").delete()
        with override_settings(BUTTON_ORDERS=values):
            claims = Claims(enabled_rows("default"))
            claims.claim(9)

            assert not claims.is_throttled

    def test_states(self):
        """It is neither due nor stuck, so nobody is called for it."""
        rows = ButtonOrder.objects.filter(site="live")
        rows.update(next_attempt_at=LONG_AGO)
        with of_site("staging"):
            for name in ("due", "waiting", "stuck", "in_flight", "of_this_site"):
                assert not getattr(rows, name)().exists(), name
            assert rows.pending().count() == rows.of_other_sites().count() == 1
            oldest = find_oldest_due("default", now())
            assert oldest.order.order_id != "of live"
            assert rows.make_due() == 0


@override_settings(BUTTON_ORDERS=button_settings(ACCOUNTS=ACCOUNTS))
class TurnTests(TestCase):
    """No account has to wait for the backlog of another."""

    def test_account_by_account(self):
        for number in range(9):
            create_row(order_id=f"{number}", account="eu")
            create_row(order_id=f"{number}", account="us")
        claims = Claims(enabled_rows("default"))

        taken = [claims.claim(3) for _ in range(7)]

        assert [len(attempts) for attempts in taken] == [3] * 6 + [0]
        names = [accounts_of(attempts) for attempts in taken[:6]]
        assert names[0] | names[1] == {"eu", "us"}
        assert names == names[:2] * 3

    def test_none_is_the_first_each_time(self):
        """Its calls may hang for as long as a sweep lasts."""
        for account in ("eu", "us"):
            create_row(order_id="1", account=account)
        first = set()
        for _ in range(50):
            ButtonOrder.objects.update(lease_expires_at=None)
            first |= accounts_of(Claims(enabled_rows("default")).claim(1))

        assert first == {"eu", "us"}

    def test_accounts_that_come_later(self):
        create_row(order_id="1", account="eu")
        claims = Claims(enabled_rows("default"))
        claims.claim(3)
        create_row(order_id="2", account="us")

        assert ids_of(claims.claim(3)) == ["2"]

    def test_accounts_that_come_during_a_backlog(self):
        """Also one that ran out of rows, and has new ones."""
        for number in range(40):
            create_row(order_id=f"{number}", account="eu")
        claims = Claims(enabled_rows("default"))
        claims.claim(2)
        claims.claim(2)
        create_row(order_id="fresh", account="us")
        claims.round_ends = 0.0

        taken = [ids_of(claims.claim(2)) for _ in range(2)]

        assert ["fresh"] in taken

    def test_probe_whose_row_another_worker_has(self):
        """The right to probe is not lost with it."""
        create_row(order_id="probe", account="us")
        PausedAccount.objects.create(account="us", probe_at=from_now(-1))
        table = connection.ops.quote_name(PausedAccount._meta.db_table)
        rivals = []

        def claim_first(execute, sql, params, many, context):
            result = execute(sql, params, many, context)
            if sql.startswith(f"UPDATE {table}") and not rivals:
                rivals.append("worker")
                ButtonOrder.objects.update(lease_expires_at=from_now(60))
            return result

        with connection.execute_wrapper(claim_first):
            assert Claims(enabled_rows("default")).claim(1) == []

        assert rivals == ["worker"]
        assert PausedAccount.objects.probeable().exists()

    def test_probe_during_the_backlog_of_another(self):
        for number in range(40):
            create_row(order_id=f"{number}", account="eu")
        create_row(order_id="probe", account="us")
        PausedAccount.objects.create(account="us", probe_at=from_now(60))
        claims = Claims(enabled_rows("default"))
        claims.claim(2)
        PausedAccount.objects.update(probe_at=from_now(-1))
        claims.round_ends = 0.0

        assert ids_of(claims.claim(2)) == ["probe"]

    def test_account_that_is_not_known(self):
        """Its rows are to fail, and not to wait for ever."""
        create_row(account="forgotten")

        assert ids_of(Claims(enabled_rows("default")).claim(3)) == ["1994"]

    def test_paused_account(self):
        for number in range(4):
            create_row(order_id=f"{number}", account="eu")
        create_row(order_id="9", account="us")
        PausedAccount.objects.create(account="eu", probe_at=from_now(60))
        claims = Claims(enabled_rows("default"))

        assert ids_of(claims.claim(3)) == ["9"]
        assert claims.claim(3) == []

        PausedAccount.objects.update(probe_at=from_now(-1))
        assert len(claims.claim(3)) == 1
        assert claims.claim(3) == []

    def test_one_row(self):
        create_row(order_id="1")
        row = create_row(order_id="2")

        [attempt] = claim_one(row.pk, using="default", trigger="admin", user_id="7")

        assert (attempt.row, attempt.trigger, attempt.user_id) == (row, "admin", "7")
        assert claim_one(row.pk, using="default", trigger="save") == []

    @override_settings(BUTTON_ORDERS=button_settings(ENABLED=False))
    def test_not_enabled(self):
        row = create_row()

        assert Claims(enabled_rows("default")).claim(3) == []
        assert claim_one(row.pk, using="default", trigger="save") == []


class FreshOrderTests(TestCase):
    """A backlog does not keep fresh orders waiting."""

    def setUp(self):
        for number in range(40):
            create_row(order_id=f"old {number:02}")
        for position, row in enumerate(ButtonOrder.objects.order_by("order_id")):
            moment = LONG_AGO + timedelta(minutes=position)
            ButtonOrder.objects.filter(pk=row.pk).update(next_attempt_at=moment)

    def test_quarter_of_a_claim(self):
        create_row(order_id="new")

        claimed = {row.order_id for row in self.claim(8)}

        old = {f"old {number:02}" for number in range(6)}
        assert claimed == old | {"new", "old 39"}

    def test_without_a_backlog(self):
        assert len(self.claim(100)) == 40

    def test_all_but_a_few(self):
        assert len(self.claim(44)) == 40

    def test_single_row(self):
        assert [row.order_id for row in self.claim(1)] == ["old 00"]

    def claim(self, limit):
        return ButtonOrder.objects.claim(limit=limit, lease_seconds=60)


class IndexTests(TransactionTestCase):
    """Due rows are found by an index, however many finished ones there are."""

    def setUp(self):
        ButtonOrder.objects.bulk_create(
            ButtonOrder(order_id=f"{number}", status="reported", next_attempt_at=None)
            for number in range(3000)
        )
        for number in range(30):
            create_row(order_id=f"due {number:02}")
        analyze(ButtonOrder)

    def plans_of(self, ask):
        """Return how the database finds rows for each statement that is asked."""
        with CaptureQueriesContext(connection) as queries:
            ask()
        verb = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
        plans = {}
        for query in queries:
            sql = query["sql"]
            if ButtonOrder._meta.db_table in sql and not sql.startswith("INSERT"):
                with connection.cursor() as cursor:
                    cursor.execute(f"{verb} {sql}")
                    names = [column[0] for column in cursor.description]
                    # MySQL also tells of the indexes that it has not chosen.
                    start = names.index("key") if "key" in names else 0
                    plans[sql] = "\n".join(
                        str(line[start:]) for line in cursor.fetchall()
                    )
        return plans

    def assert_indexed(self, ask, *indexes):
        plans = self.plans_of(ask)
        assert plans
        for sql, plan in plans.items():
            # By its key, a row is found in any case.
            names = (*indexes, "PRIMARY", "const tables", "pkey", "rowid=?")
            assert any(name in plan for name in names), f"{sql}\n{plan}"
        for index in indexes:
            assert any(index in plan for plan in plans.values()), plans
        return plans

    def test_claim(self):
        claims = Claims(enabled_rows("default"))

        plans = self.assert_indexed(lambda: claims.claim(8), "button_order_due")

        assert ButtonOrder.objects.in_flight().count() == 8
        assert len([sql for sql in plans if "DESC" in sql]) == 1
        # They come out of the index in their order; SQLite says where they do not.
        assert not [sql for sql, plan in plans.items() if "TEMP B-TREE" in plan]

    @override_settings(BUTTON_ORDERS=button_settings(SITE="live"))
    def test_claim_of_a_site(self):
        ButtonOrder.objects.filter(order_id="due 00").update(site="other")
        self.test_claim()

    def test_claim_of_one_row(self):
        row = ButtonOrder.objects.due().first()

        self.assert_indexed(lambda: claim_one(row.pk, using="default", trigger="save"))

    def test_accounts(self):
        def ask():
            assert list(ButtonOrder.objects.pending().accounts()) == ["default"]

        # Which one, is up to what the database knows of the only account.
        self.assert_indexed(ask, "button_order_")

    def test_lists(self):
        self.assert_indexed(
            lambda: list(ButtonOrder.objects.waiting().values("pk")), "button_order_"
        )

    def test_leases(self):
        ButtonOrder.objects.claim(limit=1, lease_seconds=60)

        self.assert_indexed(lambda: is_crowded("default"), "button_order_")

    def test_status(self):
        def ask():
            assert find_oldest_due("default", now()).order.order_id == "due 00"

        self.assert_indexed(ask, "button_order_")
