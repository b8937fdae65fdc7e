"""The example shop with all its processes, and a comparison of what each holds."""

from __future__ import annotations

import json
import os
import random
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import environ
import requests
from django.db import connections

from django_button_orders.models import ButtonOrder, PausedAccount, Submission
from django_button_orders.models.clock import from_now
from django_button_orders.models.orders import ButtonOrderQuerySet
from tests.faults.gate import Gate
from tests.faults.processes import Process, free_port, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
ALIAS = "lab"
LATENCY_SECONDS = 0.05
# Processes or threads of each worker.
POOL_SIZE = 2
START_SECONDS = 120
QUIET_SECONDS = 300
ENGINES = {"postgresql": "postgresql", "mysql": "mariadb", "sqlite3": "sqlite"}


def database_kind(url: str) -> str:
    """Return the kind of database that a URL names, or Django's engine."""
    engine = environ.Env.db_url_config(url).get("ENGINE", "").rpartition(".")[2]
    return ENGINES.get(engine, engine)


def with_port(url: str, port: int) -> str:
    parts = urlsplit(url)
    credentials, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{credentials}{at}127.0.0.1:{port}"))


def port_of(url: str) -> int:
    port = urlsplit(url).port
    if port is None:
        raise ValueError(f"Name the port in {url}")
    return port


@contextmanager
def alias_for(url: str, alias: str) -> Iterator[str]:
    """Add a database to Django's connections, for the tests' own process."""
    config = environ.Env.db_url_config(url)
    if config["ENGINE"].endswith("sqlite3"):
        config["OPTIONS"] = {"timeout": 60}
    connections.settings[alias] = {
        **connections.settings["default"],
        "OPTIONS": {},
        **config,
    }
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections[alias], connections.settings[alias]


@contextmanager
def new_database(url: str) -> Iterator[str]:
    """Create an empty database on the server of a URL, and yield its URL."""
    kind = database_kind(url)
    if kind == "sqlite":
        yield url
        return
    name = f"faults_{secrets.token_hex(6)}"
    forced = " WITH (FORCE)" if kind == "postgresql" else ""
    execute(url, f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    finally:
        execute(url, f"DROP DATABASE {name}{forced}")


def execute(url: str, *statements: str) -> list[Any]:
    """Run statements over a new connection, and return the rows of the last one."""
    with alias_for(url, "maintenance") as alias, connections[alias].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


class Button:
    """The sandbox, which runs in another process, over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = f"{url}/sandbox"
        self.session = requests.Session()

    def is_up(self) -> bool:
        with suppress(requests.RequestException):
            return self.session.get(self.url, timeout=5).ok
        return False

    def get(self, what: str) -> Any:
        return self.session.get(f"{self.url}/{what}", timeout=60).json()

    def orders(self) -> dict[str, dict[str, Any]]:
        orders: dict[str, dict[str, Any]] = self.get("orders")
        return orders

    def requests(self) -> list[dict[str, Any]]:
        received: list[dict[str, Any]] = self.get("requests")
        return received

    def counts(self) -> dict[str, int]:
        """Return the numbers of orders and requests."""
        counts: dict[str, int] = self.get("counts")
        return counts

    def calls(self) -> int:
        return self.counts()["requests"]

    def misbehave(self, **options: Any) -> None:
        self.post("misbehave", options)

    def behave(self) -> None:
        self.post("clear", {})

    def post(self, what: str, options: dict[str, Any]) -> None:
        answer = self.session.post(f"{self.url}/{what}", json=options, timeout=30)
        answer.raise_for_status()


@dataclass
class Comparison:
    """The order numbers on which the shop, the rows and Button disagree, by kind."""

    sold: int = 0
    missing: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    alive: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    set_back: list[str] = field(default_factory=list)
    created_twice: list[str] = field(default_factory=list)
    wrong_rows: list[str] = field(default_factory=list)
    recorded_twice: list[str] = field(default_factory=list)
    # The number of second creates, and of calls without a submission for each order.
    second_creates: int = 0
    unrecorded: Counter[str] = field(default_factory=Counter)
    histories: dict[str, list[str]] = field(default_factory=dict)

    @property
    def lost(self) -> set[str]:
        """The orders of which Button has an old state, or none."""
        return {*self.missing, *self.stale, *self.alive}

    def problems(self) -> dict[str, Any]:
        """Return up to ten orders of each kind, with the calls of the first."""
        lists = {name: value for name, value in vars(self).items() if value}
        found: dict[str, Any] = {
            name: value[:10] for name, value in lists.items() if isinstance(value, list)
        }
        for value in list(found.values()):
            number = value[0].partition(" ")[0]
            found[f"calls for {number}"] = self.histories.get(number, [])
        return found

    def unexplained(self, held: set[str]) -> dict[str, list[str]]:
        """Return the unrecorded calls of orders that no interrupted worker held."""
        return {
            number: self.histories.get(number, [])
            for number in self.unrecorded
            if number not in held
        }


class Lab:
    """
    Start and kill the parts of a shop on a database and a broker.

    ``gates`` names the servers behind a ``Gate``: "database", "broker", "button".
    """

    def __init__(
        self,
        folder: Path,
        *,
        database_url: str,
        broker_url: str,
        pool: str = "prefork",
        seed: int = 0,
        gates: tuple[str, ...] = (),
        naive: bool = False,
        latency: float = LATENCY_SECONDS,
        **button_orders: Any,
    ) -> None:
        self.folder = folder
        self.pool = pool
        self.seed = seed
        self.rng = random.Random(seed)
        self.naive = naive
        self.latency = latency
        self.button_orders = button_orders
        # Orders whose calls may lack a record: see add_held().
        self.held: set[str] = set()
        self.processes: list[Process] = []
        self.workers: list[Process] = []
        self.sellers: list[Process] = []
        self.names: Counter[str] = Counter()
        # The tests' own process does not go through the gates.
        self.database_url = database_url
        self.button_url = f"http://127.0.0.1:{free_port()}"
        self.button = Button(self.button_url)
        urls = {
            "database": database_url,
            "broker": broker_url,
            "button": self.button_url,
        }
        self.gates = {name: Gate(port_of(urls[name])) for name in gates}
        for name, gate in self.gates.items():
            urls[name] = with_port(urls[name], gate.port)
        self.env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "example_project")]),
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            "VAR_DIR": str(folder),
            "DATABASE_URL": urls["database"],
            "CELERY_BROKER_URL": urls["broker"],
            "BUTTON_BASE_URL": urls["button"],
            "BUTTON_API_KEY": "sk-sandbox",
            "SWEEP_SECONDS": "1",
            "FAULTS_QUEUE": f"faults-{secrets.token_hex(6)}",
            "FAULTS_INTEGRATION": "naive" if naive else "",
            "FAULTS_BUTTON_ORDERS": json.dumps(button_orders),
        }

    # Processes

    def start(self, name: str, *arguments: str, **env: str) -> Process:
        self.names[name] += 1
        process = Process(
            [sys.executable, *arguments],
            log=self.folder / f"{name}-{self.names[name]}.log",
            env={**self.env, **env},
            cwd=ROOT / "example_project",
        )
        self.processes.append(process)
        return process

    def manage(self, *arguments: str) -> str:
        return self.run("manage.py", *arguments)

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT / "example_project",
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def open(self, *, workers: int = 2, beat: bool = True) -> None:
        """Start the sandbox, workers and beat, and create tables and products."""
        self.start_sandbox()
        self.run("-m", "tests.faults.shelves")
        wait_for("the sandbox", self.button.is_up, START_SECONDS)
        for _ in range(workers):
            self.start_worker(wait=False)
        for worker in self.workers:
            self.wait_for_worker(worker)
        if beat and not self.naive:
            self.start_beat()

    def start_sandbox(self) -> Process:
        return self.start(
            "sandbox",
            *("manage.py", "button_orders_sandbox", "--seed", str(self.seed)),
            *("--port", str(port_of(self.button_url)), "--latency", str(self.latency)),
            FAULTS_INTEGRATION="",
            BUTTON_BASE_URL="",
        )

    def start_worker(self, *, wait: bool = True, **env: str) -> Process:
        worker = self.start(
            "worker",
            *("-m", "celery", "--app", "config", "worker", "--loglevel", "INFO"),
            *("--pool", self.pool, "--concurrency", str(POOL_SIZE)),
            *("--hostname", f"{secrets.token_hex(4)}@localhost"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
            **env,
        )
        self.workers.append(worker)
        if wait:
            self.wait_for_worker(worker)
        return worker

    def wait_for_worker(self, worker: Process) -> None:
        wait_for("the worker", lambda: " ready." in worker.output(), START_SECONDS)

    def start_beat(self) -> Process:
        schedule = str(self.folder / f"beat-{len(self.processes)}")
        arguments = ("-m", "celery", "--app", "config", "beat", "--loglevel", "INFO")
        arguments += ("--pidfile=", "--schedule", schedule)
        self.beat = self.start("beat", *arguments)
        return self.beat

    def start_seller(
        self,
        orders: int,
        *,
        pace: float = 0.0,
        changes: bool = True,
        env: Mapping[str, str] | None = None,
        **button_orders: Any,
    ) -> Process:
        """
        Start a process that sells ``orders`` orders, and waits ``pace`` seconds
        between its steps on average.

        Without ``changes``, no order is changed or cancelled later. ``env`` and
        ``button_orders`` change the environment and the settings of this seller.
        """
        name = f"S{len(self.sellers) + 1}"
        seller = self.start(
            "seller",
            *("-m", "tests.faults.seller", "--name", name, "--seed", str(self.seed)),
            *("--orders", str(orders), "--pace", str(pace)),
            *("--journal", str(self.folder / f"{name}.journal")),
            *(() if changes else ("--no-changes",)),
            **{
                "FAULTS_BUTTON_ORDERS": json.dumps(self.button_orders | button_orders),
                **(env or {}),
            },
        )
        self.sellers.append(seller)
        return seller

    def wait_for_sales(self, orders: int = 1, *sellers: Process) -> None:
        """Wait until the sellers, by default all of them, have placed ``orders``."""
        name = f"{orders} sales"
        wait_for(name, lambda: self.sold(*sellers) >= orders, QUIET_SECONDS, every=0.05)

    def wait_for_reports(self, orders: int) -> None:
        """Wait until Button has received more than ``orders`` orders."""
        name = f"{orders} orders at Button"
        wait_for(name, lambda: self.received() > orders, QUIET_SECONDS)

    def kill_a_seller(self) -> None:
        """Start a seller without pauses, and kill it in the middle of its work."""
        seller = self.start_seller(100_000)
        self.wait_for_sales(1, seller)
        time.sleep(self.rng.uniform(0, 0.3))
        seller.kill()

    def kill_worker(self, worker: Process) -> None:
        if worker in self.workers:
            self.workers.remove(worker)
        worker.kill()
        self.add_held()

    def close(self) -> None:
        for process in self.processes:
            process.send_all(9)
        for process in self.processes:
            process.popen.wait()
        for gate in self.gates.values():
            gate.shut()

    # Rows, orders and calls

    @property
    def rows(self) -> ButtonOrderQuerySet:
        return ButtonOrder.objects.using(ALIAS).all()

    def reported(self) -> int:
        return self.rows.filter(reported_revision__isnull=False).count()

    def received(self) -> int:
        """Return the number of orders that Button has."""
        return self.button.counts()["orders"]

    def journal(self, *sellers: Process) -> list[str]:
        """Return the journal of the sellers, by default of all."""
        numbers = [
            number
            for number, seller in enumerate(self.sellers, start=1)
            if seller in (sellers or self.sellers)
        ]
        paths = [self.folder / f"S{number}.journal" for number in numbers]
        texts = [path.read_text() for path in paths if path.exists()]
        return [line for text in texts for line in text.splitlines()]

    def steps(self, *sellers: Process) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.journal(*sellers)]

    def sold(self, *sellers: Process) -> int:
        """Return the number of orders that the sellers have placed so far."""
        return sum('"place"' in line for line in self.journal(*sellers))

    def is_selling(self) -> bool:
        return all(seller.is_running for seller in self.sellers)

    def add_held(self) -> None:
        """
        Add the leased orders to ``held``, right after a fault stopped workers.

        Only the calls of these orders may lack a record. An expired lease counts
        until another worker claims the order.
        """
        if self.naive:
            return
        # The fault may have cut this connection too.
        connections[ALIAS].close()
        leased = self.rows.filter(lease_token__isnull=False)
        self.held |= set(leased.values_list("order_id", flat=True))

    def set_probe(self, seconds: float) -> None:
        """Set the next probe of paused accounts to ``seconds`` from now."""
        PausedAccount.objects.using(ALIAS).update(probe_at=from_now(seconds))

    def wait_for_calls(self, count: int = 1) -> None:
        """Wait until Button has received ``count`` more calls."""
        enough = self.button.calls() + count
        wait_for("calls", lambda: self.button.calls() >= enough, QUIET_SECONDS)

    def wait_for_sellers(self, seconds: float = QUIET_SECONDS) -> None:
        for seller in self.sellers:
            status = seller.wait(seconds)
            assert status in (0, -9), seller.tail()

    def wait_for_quiet(self, seconds: float = QUIET_SECONDS) -> None:
        """Wait until all sellers have ended and no row is pending."""
        self.wait_for_sellers(seconds)
        if self.naive:
            # The retries of the naive integration can take very long.
            with suppress(TimeoutError):
                self.wait_for_silence(10, seconds)
            return

        def is_quiet() -> bool:
            self.supervise()
            return not self.rows.pending().exists()

        try:
            wait_for("quiet", is_quiet, seconds)
        except TimeoutError as exc:
            counts = self.rows.pending().values_list("reason", "last_error", "attempts")
            raise TimeoutError(f"{exc} Pending: {list(counts[:10])}") from exc

    def supervise(self) -> None:
        """Restart workers that have ended, as systemd would."""
        for worker in [item for item in self.workers if not item.is_running]:
            self.workers.remove(worker)
            self.start_worker()

    def wait_for_silence(
        self, silence: float = 3, seconds: float = QUIET_SECONDS
    ) -> int:
        """Wait for ``silence`` seconds without a call. Return the number of calls."""
        last, since = -1, time.monotonic()

        def is_silent() -> bool:
            nonlocal last, since
            if (now := self.button.calls()) != last:
                last, since = now, time.monotonic()
            return time.monotonic() - since >= silence

        wait_for("silence", is_silent, seconds, every=0.5)
        return last

    def compare(self) -> Comparison:
        """Compare the shop's orders with Button's orders and the rows."""
        sold = json.loads(self.run("-m", "tests.faults.books"))
        held, log = self.button.orders(), self.button.requests()
        found = Comparison(sold=len(sold))
        found.invented = sorted(held.keys() - sold.keys())
        for number, order in sold.items():
            compare_order(found, number, order, held.get(number))
        compare_log(found, log)
        if not self.naive:
            self.compare_rows(found, sold)
            self.compare_record(found, log)
        return found

    def compare_rows(self, found: Comparison, sold: dict[str, Any]) -> None:
        rows = {row.order_id: row for row in self.rows}
        found.wrong_rows += sorted(rows.keys() ^ sold.keys())
        for number in rows.keys() & sold.keys():
            row, order = rows[number], sold[number]
            status = "cancelled" if order["is_cancelled"] else "reported"
            # An order that was cancelled before its first call was never acknowledged.
            is_known = row.reported_revision is not None
            is_right = (
                row.status == status
                and row.reason == ""
                and row.next_attempt_at is None
                and row.lease_token is None
                and row.reported_revision in (row.revision, None)
                and (is_known or order["is_cancelled"])
                and (order["is_cancelled"] or row.total == order["total"])
            )
            if not is_right:
                found.wrong_rows.append(f"{number} {row.status} {row.reason}")

    def compare_record(self, found: Comparison, log: list[dict[str, Any]]) -> None:
        """
        Count Button's calls that have no submission, or more than one.

        An answered call has a submission with its status. A submission without a
        status can belong to any call whose answer may have been lost.
        """
        record = Submission.objects.using(ALIAS).values_list(
            "button_order__order_id", "operation", "status_code"
        )
        unanswered = Counter(
            (order_id, operation)
            for order_id, operation, status in record
            if status is None
        )
        answered = Counter(item for item in record if item[2] is not None)
        calls = Counter(
            (call["order_id"], operation_of(call), call["status"]) for call in log
        )
        found.recorded_twice = sorted(item[0] for item in answered - calls)
        left: Counter[tuple[str, str]] = Counter()
        for (order_id, operation, _), count in (calls - answered).items():
            left[order_id, operation] += count
        for (order_id, _), count in (left - unanswered).items():
            found.unrecorded[order_id] += count

    def outputs(self) -> str:
        """Return the output of all processes except the sandbox."""
        ours = [item for item in self.processes if not item.name.startswith("sandbox")]
        return "\n".join(process.output() for process in ours)

    def tails(self) -> str:
        return "\n".join(process.tail() for process in self.processes)


def compare_order(
    found: Comparison,
    number: str,
    sold: dict[str, Any],
    held: dict[str, Any] | None,
) -> None:
    if sold["is_cancelled"]:
        if held is not None and held["status"] != "deleted":
            found.alive.append(number)
    elif held is None:
        found.missing.append(number)
    elif facts_of(held) != sold | {"is_cancelled": False}:
        found.stale.append(number)


def facts_of(held: dict[str, Any]) -> dict[str, Any]:
    """Return Button's order in the form of ``books``, for a comparison."""
    return {
        "is_cancelled": held["status"] != "open",
        "total": held["total"],
        "btn_ref": held["btn_ref"] or "",
        "quantities": sorted(item["quantity"] for item in held["line_items"]),
    }


def compare_log(found: Comparison, log: list[dict[str, Any]]) -> None:
    """Find second creates, and totals that went down: these shops only raise them."""
    totals: dict[str, int] = {}
    # The time of the create that took effect, by order id.
    created: dict[str, float] = {}
    for call in log:
        order_id, operation = call["order_id"], operation_of(call)
        found.histories.setdefault(order_id, []).append(describe(call))
        if not call["is_applied"] or operation not in ("create", "update"):
            continue
        if operation == "create" and order_id in created:
            found.created_twice.append(order_id)
        if operation == "create":
            created[order_id] = call["at"]
        if call["body"]["total"] < totals.get(order_id, 0):
            found.set_back.append(order_id)
        totals[order_id] = call["body"]["total"]
    # The log is in the order in which calls ended, and a call that hangs ends late.
    found.second_creates = sum(
        operation_of(call) == "create"
        and call["at"] > created.get(call["order_id"], call["at"])
        for call in log
    )


def describe(call: dict[str, Any]) -> str:
    total = (call["body"] or {}).get("total", "")
    done = "applied" if call["is_applied"] else "not applied"
    at = f"{call['at'] % 1000:.2f}"
    return f"{at} {operation_of(call)} {total}: {call['status']}, {done}"


def operation_of(call: dict[str, Any]) -> str:
    if call["method"] == "POST":
        return "create" if call["path"] == "/v1/order" else "update"
    return {"DELETE": "cancel"}.get(call["method"], "retrieve")
