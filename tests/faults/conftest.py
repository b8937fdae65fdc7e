"""Fixtures: the settings to test on, servers, and ``make_lab``."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import kombu
import pytest

from tests.faults import servers
from tests.faults.lab import ALIAS, Lab, alias_for, database_kind, new_database
from tests.faults.servers import Server

DATABASE_URL = os.environ.get("DATABASE_URL", "")
BROKER_URL = os.environ.get("CELERY_BROKER_URL", "")
# Run tests that are marked ``once_on`` in every setting.
EVERYWHERE = bool(os.environ.get("FAULTS_EVERYWHERE"))
# URLs of the private servers that ``run`` has started, by kind.
STARTED: dict[str, str] = json.loads(os.environ.get("FAULTS_SERVERS", "{}"))
DRIVERS = {"redis": "redis", "amqp": "rabbitmq"}
# The longest tests start first, so that all processes of pytest-xdist end together.
LONGEST_FIRST = (
    "test_down_for_a_minute",
    "test_killed_while_saving",
    "test_killed_again_and_again",
    "test_frozen_past_its_lease",
    "test_restarts",
    "test_delivers_everything_many_times",
    "test_told_to_end_during_a_batch",
    "test_told_to_end_at_once",
    "test_sweeps_workers_and_an_operator",
    "test_sweeps_workers_and_an_operator_on_sqlite",
    "test_restarts_under_a_loop",
    "test_network_to_it",
    "test_key_is_revoked_and_restored",
    "test_loses_everything",
    "test_swallows_packets",
    "test_down_for_a_while",
)


class Setting(NamedTuple):
    """A database, a broker and a pool of workers to test on."""

    database: str
    broker: str
    pool: str

    def __str__(self) -> str:
        return "-".join(self)


def broker_kind(url: str) -> str:
    """Return the kind of broker that a URL names, or the URL's scheme."""
    driver = urlsplit(url).scheme
    with suppress(LookupError, ImportError):
        driver = kombu.Connection(url).transport.driver_type
    return DRIVERS.get(driver, driver)


def kinds_given() -> list[Setting]:
    """Return the settings to test on. The environment may name other servers."""
    settings = [
        Setting("postgresql", "redis", "prefork"),
        Setting("mariadb", "rabbitmq", "threads"),
    ]
    if DATABASE_URL:
        kind = database_kind(DATABASE_URL)
        settings = [item._replace(database=kind) for item in settings]
    if BROKER_URL:
        kind = broker_kind(BROKER_URL)
        settings = [item._replace(broker=kind) for item in settings]
    return settings


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "setting" not in metafunc.fixturenames:
        return
    settings = kinds_given()
    marker = metafunc.definition.get_closest_marker("once_on")
    if marker and not EVERYWHERE:
        [kind] = marker.args
        settings = [item for item in settings if item.database == kind] or settings[:1]
    metafunc.parametrize("setting", settings, ids=str)


# trylast: pytest-randomly shuffles before, and a stable sort leaves the rest shuffled.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=rank_of)


def rank_of(item: pytest.Item) -> int:
    name = item.name.partition("[")[0]
    is_long = item.path.parent == Path(__file__).parent and name in LONGEST_FIRST
    return LONGEST_FIRST.index(name) if is_long else len(LONGEST_FIRST)


@pytest.fixture(autouse=True)
def known_kinds(request: pytest.FixtureRequest) -> None:
    """Fail tests of servers that the environment names and we do not know."""
    if "setting" in request.fixturenames:
        setting = request.getfixturevalue("setting")
        for kind in (setting.database, setting.broker):
            if kind not in servers.SERVERS:
                pytest.fail(
                    "DATABASE_URL and CELERY_BROKER_URL must name one of "
                    f"{', '.join(servers.SERVERS)} each, and not {kind}."
                )


class Servers:
    """Start private servers when a test first needs them, and share them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, Server] = {}

    def url(self, kind: str) -> str:
        """Return the URL of a shared server. Tests must not restart it."""
        if DATABASE_URL and kind == database_kind(DATABASE_URL):
            return DATABASE_URL
        if BROKER_URL and kind == broker_kind(BROKER_URL):
            return BROKER_URL
        if kind in STARTED:
            return STARTED[kind]
        if kind not in self.running:
            self.running[kind] = self.start(kind)
        return self.running[kind].url

    def start(self, kind: str) -> Server:
        """Start a server for the caller alone."""
        return servers.start(kind, servers.unused_folder(self.folder, kind))

    def stop(self) -> None:
        for server in self.running.values():
            server.stop()


@pytest.fixture(scope="session")
def shared() -> Iterator[Servers]:
    with servers.temporary_folder() as folder:
        found = Servers(folder)
        yield found
        found.stop()


@pytest.fixture
def own(shared: Servers) -> Iterator[Callable[[str], Server]]:
    """
    Start servers that this test may kill.

    They are private even if the environment names servers, which must stay up.
    """
    started: list[Server] = []

    def start(kind: str) -> Server:
        started.append(shared.start(kind))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("FAULTS_SEED") or random.SystemRandom().randrange(10**6))


@pytest.fixture
def state(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Add facts about a test to the summary at the end."""

    def note(**facts: object) -> None:
        for name, value in facts.items():
            record_property(name, value)

    return note


@pytest.fixture
def make_lab(
    shared: Servers,
    seed: int,
    state: Callable[..., None],
    tmp_path: Path,
    django_db_blocker: Any,
) -> Iterator[Callable[..., Lab]]:
    with ExitStack() as stack:
        stack.enter_context(django_db_blocker.unblock())

        def make(setting: Setting, **options: Any) -> Lab:
            urls = {
                "database_url": options.pop("database_url", "")
                or shared.url(setting.database),
                "broker_url": options.pop("broker_url", "")
                or shared.url(setting.broker),
            }
            urls["database_url"] = stack.enter_context(
                new_database(urls["database_url"])
            )
            stack.enter_context(alias_for(urls["database_url"], ALIAS))
            options.setdefault("pool", setting.pool)
            folder = tmp_path / f"lab{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            lab = Lab(folder, seed=seed, **urls, **options)
            stack.callback(lambda: print(lab.tails()))
            stack.callback(lab.close)
            state(seed=seed)
            return lab

        yield make


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the facts of each test: seed, orders, and other counts."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            facts = dict(getattr(report, "user_properties", []))
            if facts and report.when == "call":
                text = ", ".join(f"{name} {value}" for name, value in facts.items())
                name = report.nodeid.rpartition("/")[2]
                terminalreporter.write_line(f"{name}: {text}")
