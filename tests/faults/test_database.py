"""Databases that cut connections, restart, or refuse writes."""

from __future__ import annotations

import time

import pytest

from django_button_orders.models import Submission
from tests.faults.lab import ALIAS, execute
from tests.faults.utils import CONCURRENCY, assert_agreement, failed_saves

pytestmark = pytest.mark.faults

# Raised for every record of a call, until it is dropped.
FULL = {
    "postgresql": [
        """CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger AS $$
        BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END
        $$ LANGUAGE plpgsql""",
        """CREATE TRIGGER full_disk BEFORE INSERT ON {table}
        FOR EACH ROW EXECUTE FUNCTION full_disk()""",
    ],
    "mariadb": [
        """CREATE TRIGGER full_disk BEFORE INSERT ON {table} FOR EACH ROW
        SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1021, MESSAGE_TEXT = 'Disk full'""",
    ],
}
EMPTIED = {
    "postgresql": "DROP TRIGGER full_disk ON {table}",
    "mariadb": "DROP TRIGGER full_disk",
}
# Raised for one claim or record of a row in ten. PostgreSQL's own have three
# reasons: a deadlock, a transaction that cannot be serialized, a statement's timeout.
DEADLOCKS = {
    "postgresql": [
        """CREATE FUNCTION deadlock() RETURNS trigger AS $$
        DECLARE codes text[] := ARRAY['40P01', '40001', '57014'];
        BEGIN IF random() < 0.1 THEN
        RAISE EXCEPTION 'given up' USING ERRCODE = codes[1 + floor(random() * 3)::int];
        END IF; RETURN NEW; END $$ LANGUAGE plpgsql""",
        """CREATE TRIGGER deadlock BEFORE UPDATE ON {table}
        FOR EACH ROW WHEN (OLD.lease_token IS DISTINCT FROM NEW.lease_token)
        EXECUTE FUNCTION deadlock()""",
    ],
    "mariadb": [
        """CREATE TRIGGER deadlock BEFORE UPDATE ON {table} FOR EACH ROW
        IF NOT (OLD.lease_token <=> NEW.lease_token) AND RAND() < 0.1 THEN
        SIGNAL SQLSTATE '40001'
        SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'Deadlock found'; END IF""",
    ],
}
ROWS = "django_button_orders_buttonorder"
RECORD = Submission._meta.db_table


def cut_connections(setting, lab):
    """Cut the connections of the workers and the shop, on the server."""
    name = lab.database_url.rpartition("/")[2]
    if setting.database == "postgresql":
        terminate_all(lab, name)
    else:
        kill_all(lab, name)
    lab.add_held()


def terminate_all(lab, name):
    execute(
        lab.database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{name}' AND pid <> pg_backend_pid()",
    )


def kill_all(lab, name):
    found = execute(
        lab.database_url,
        "SELECT id FROM information_schema.processlist "
        f"WHERE db = '{name}' AND id <> CONNECTION_ID()",
    )
    for (number,) in found:
        try:
            execute(lab.database_url, f"KILL {number}")
        except Exception as exc:
            assert "Unknown thread" in str(exc)


def restart(database, lab):
    """Kill the database, and start it again after a while."""
    assert lab.is_selling()
    database.kill()
    time.sleep(2)
    database.start()
    lab.add_held()


@pytest.mark.once_on("postgresql")
def test_cuts_connections(setting, make_lab, state):
    """Connections are cut 20 times, during calls and while results are recorded."""
    lab = make_lab(setting)
    lab.open()
    lab.start_seller(500)
    for cut in range(20):
        lab.wait_for_sales(1 + 22 * cut)
        time.sleep(lab.rng.uniform(0, 0.5))
        cut_connections(setting, lab)
    assert lab.held
    lab.wait_for_quiet()

    assert_agreement(lab, state, cuts=20, saves_may_fail=True)


@pytest.mark.once_on("mariadb")
def test_restarts(setting, own, make_lab, state):
    """The database dies and comes back, twice, during calls."""
    database = own(setting.database)
    # Leases outlive a restart, so that what they held is known after it.
    lab = make_lab(setting, database_url=database.url, LEASE_SECONDS=25)
    lab.open()
    lab.start_seller(400, pace=0.03)
    lab.wait_for_sales()
    for _ in range(2):
        time.sleep(lab.rng.uniform(2, 3))
        restart(database, lab)
    lab.wait_for_quiet()

    assert_agreement(lab, state, restarts=2, saves_may_fail=True)


@pytest.mark.once_on("postgresql")
def test_restarts_under_a_loop(setting, own, make_lab, state):
    """``button_orders_report --loop`` also survives a restart of the database."""
    database = own(setting.database)
    lab = make_lab(setting, database_url=database.url, LEASE_SECONDS=25)
    lab.open(workers=0, beat=False)
    command = ("manage.py", "button_orders_report", "--loop", "--interval", "1")
    loop = lab.start("report", *command)
    lab.start_seller(250, pace=0.03)
    lab.wait_for_calls(20)
    restart(database, lab)
    lab.wait_for_quiet()

    assert loop.is_running
    assert loop.stop() == 0
    assert_agreement(lab, state, restarts=1, saves_may_fail=True)


@pytest.mark.once_on("postgresql")
def test_black_hole(setting, make_lab, state):
    """The network swallows packets for a while, then resets all connections."""
    lab = make_lab(setting, gates=("database",))
    lab.open()
    lab.start_seller(300, pace=0.03)
    lab.wait_for_calls(20)
    assert lab.is_selling()
    lab.gates["database"].swallow()
    time.sleep(8)
    # The tests' own process has another way to it.
    lab.add_held()
    lab.gates["database"].open()
    lab.add_held()
    lab.wait_for_quiet()

    assert_agreement(lab, state, seconds_swallowing=8, saves_may_fail=True)


def test_full(setting, make_lab, state):
    """The record cannot be written after Button said yes: no second create."""
    lab = make_lab(setting)
    lab.open()
    lab.start_seller(300, pace=0.03)
    lab.wait_for_calls(20)
    for statement in FULL[setting.database]:
        execute(lab.database_url, statement.format(table=RECORD))
    record = Submission.objects.using(ALIAS)
    recorded, known = record.count(), lab.received()
    lab.add_held()
    # Shorter than a lease: who lost the record of a call still holds its order.
    time.sleep(8)
    lab.add_held()
    assert lab.received() > known
    assert record.count() == recorded
    execute(lab.database_url, EMPTIED[setting.database].format(table=RECORD))
    lab.wait_for_quiet()

    assert_agreement(lab, state, seconds_full=8)


def test_deadlocks(setting, make_lab, state):
    """One write in ten of a claim or a result fails, and its whole batch."""
    lab = make_lab(setting, BATCH_SIZE=5)
    lab.open()
    for statement in DEADLOCKS[setting.database]:
        execute(lab.database_url, statement.format(table=ROWS))
    lab.start_seller(250)
    lab.wait_for_quiet()

    assert "A batch could not be recorded" in lab.outputs()
    # A record is tried four times, so one in 10,000 fails, with what its process
    # has not written down yet.
    assert_agreement(lab, state, unrecorded=2 * CONCURRENCY)


def test_deadlocks_of_the_shop(setting, make_lab, state):
    """Two transactions change the lines of two orders in opposite order."""
    lab = make_lab(setting)
    lab.open()
    lab.start_seller(20)
    lab.wait_for_quiet()
    numbers = lab.rows.filter(status="reported").values_list("order_id", flat=True)
    output = lab.run("-m", "tests.faults.crossing", *sorted(numbers)[:2])
    lab.wait_for_quiet()

    # PostgreSQL gives up our statement alone, MariaDB the whole transaction.
    assert "recorded after the commit" in output or "rolled back" in output
    assert "committed, and lost" not in output, output
    assert "committed" in output
    assert_agreement(lab, state, crossings=10)


@pytest.mark.once_on("mariadb")
def test_read_only(setting, own, make_lab, state):
    """The database is read-only for a while, as during a failover."""
    database = own(setting.database)
    lab = make_lab(setting, database_url=database.url)
    name = lab.database_url.rpartition("/")[2]
    if setting.database == "mariadb":
        be_somebody_else(lab, name)
    lab.open()
    lab.start_seller(300, pace=0.03)
    lab.wait_for_calls(20)
    set_read_only(setting, lab, name, is_on=True)
    time.sleep(5)
    refused = failed_saves(lab)
    set_read_only(setting, lab, name, is_on=False)
    assert refused
    lab.wait_for_quiet()

    assert_agreement(lab, state, seconds_read_only=5, saves_may_fail=True)


def be_somebody_else(lab, name):
    """Return the URL of a user who cannot write while the database is read-only."""
    for host in ("localhost", "127.0.0.1"):
        execute(
            lab.database_url,
            f"CREATE USER shop@'{host}'",
            f"GRANT ALL ON {name}.* TO shop@'{host}'",
        )
    lab.env["DATABASE_URL"] = lab.database_url.replace("root@", "shop@")


def set_read_only(setting, lab, name, *, is_on):
    if setting.database == "mariadb":
        execute(lab.database_url, f"SET GLOBAL read_only = {int(is_on)}")
        lab.add_held()
        return
    execute(
        lab.database_url,
        "SET default_transaction_read_only = off",
        f"ALTER DATABASE {name} SET default_transaction_read_only = {is_on}",
    )
    cut_connections(setting, lab)
