"""A system: workers of one integration, processes that sell, and a fake Button."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import select
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from celery import Celery
from django.db.models import Max

from benchmarks import usage
from benchmarks.bases import Base
from benchmarks.naive.models import Report
from benchmarks.worker import READY
from django_button_orders.models import ButtonOrder
from tests.faults.lab import ROOT
from tests.faults.processes import Process, free_port

START_SECONDS = 60
# A run without progress for this time has failed.
PATIENCE_SECONDS = 60
# A sweep is sent when nothing has arrived for this time, in place of beat's schedule.
SWEEP_SECONDS = 3.0
SWEEP = "django_button_orders.report_due_orders"
REPORT = "benchmarks.naive.tasks.report_to_button"
# The settings of this package in all runs.
CONCURRENCY = 32
BATCH_SIZE = 200


def wait_until(what: str, is_true: Callable[[], Any], seconds: float) -> None:
    """Wait until a condition is true. Checks it more often than ``wait_for``."""
    ends = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > ends:
            raise TimeoutError(f"Waited {seconds:g} seconds in vain for {what}.")
        time.sleep(0.01)


class Button:
    """A process of ``benchmarks.stub``, and its counts over HTTP."""

    def __init__(self, folder: Path, *, latency: float, certificate: str) -> None:
        self.port = free_port()
        self.certificate = certificate
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.process = Process(
            [
                *(sys.executable, "-m", "benchmarks.stub", "--port", str(self.port)),
                *("--latency", str(latency), "--certificate", certificate),
            ],
            log=folder / f"button-{self.port}.log",
            cwd=ROOT,
        )
        self.connection: http.client.HTTPConnection | None = None
        try:
            wait_until("the fake Button", self.is_up, START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def is_up(self) -> bool:
        try:
            self.counts()
        except OSError:
            if not self.process.is_running:
                raise RuntimeError(self.process.tail()) from None
            return False
        return True

    def ask(self, method: str = "GET", path: str = "/stub") -> dict[str, Any]:
        if self.connection is None:
            self.connection = self.connect()
        try:
            self.connection.request(method, path)
            found: dict[str, Any] = json.loads(self.connection.getresponse().read())
        except OSError:
            self.connection = None
            raise
        return found

    def connect(self) -> http.client.HTTPConnection:
        if not self.certificate:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        context = ssl.create_default_context(cafile=self.certificate)
        return http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=10, context=context
        )

    def counts(self) -> dict[str, Any]:
        return self.ask()

    def reset(self) -> None:
        self.ask("DELETE")

    def arrivals(self) -> list[float]:
        """Return the times at which orders first arrived, sorted."""
        return sorted(self.ask(path="/stub/arrivals").values())

    def round_trip(self, times: int = 20) -> float:
        """Return the seconds of a call while nothing else runs."""
        connection, seconds = self.connect(), []
        for _ in range(times + 1):
            start = time.perf_counter()
            connection.request("DELETE", "/v1/order/round-trip")
            connection.getresponse().read()
            seconds.append(time.perf_counter() - start)
        connection.close()
        # The first call also connects, and does not count.
        return sorted(seconds[1:])[times // 2]

    def stop(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.process.kill()


class Shop:
    """A process of ``benchmarks.shop``."""

    def __init__(self, log: Path, env: dict[str, str]) -> None:
        self.log = log
        with log.open("ab") as errors:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.shop"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=env,
                cwd=ROOT,
                start_new_session=True,
            )

    def ask(self, seconds: float = 900, **command: Any) -> dict[str, Any]:
        stdin, stdout = self.pipes()
        stdin.write(json.dumps(command).encode() + b"\n")
        stdin.flush()
        if not select.select([stdout], [], [], seconds)[0]:
            raise TimeoutError(f"The shop did not {command} in {seconds:g} seconds.")
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"The shop ended.\n{self.log.read_text()[-3000:]}")
        found: dict[str, Any] = json.loads(line)
        return found

    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self.popen.stdin is None or self.popen.stdout is None:
            raise RuntimeError("The shop has no pipes.")
        return self.popen.stdin, self.popen.stdout

    def stop(self) -> None:
        self.popen.kill()
        for pipe in self.pipes():
            pipe.close()
        self.popen.wait()


class System:
    """One integration with its workers, shops, database and queue."""

    def __init__(
        self,
        integration: str,
        *,
        folder: Path,
        base: Base,
        broker_url: str,
        latency: float = 0.0,
        certificate: str = "",
        button_orders: dict[str, Any] | None = None,
    ) -> None:
        self.integration = integration
        self.base = base
        self.name = f"{integration}-{secrets.token_hex(4)}"
        self.folder = folder / self.name
        self.folder.mkdir()
        self.button = Button(self.folder, latency=latency, certificate=certificate)
        self.workers: list[Process] = []
        self.shops: list[Shop] = []
        self.celery = Celery(self.name, broker=broker_url, set_as_current=False)
        self.celery.conf.task_default_queue = self.name
        self.env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                [
                    str(ROOT),
                    str(ROOT / "example_project"),
                    os.environ.get("PYTHONPATH", ""),
                ]
            ),
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
            "VAR_DIR": str(self.folder),
            "DATABASE_URL": base.url,
            "CELERY_BROKER_URL": broker_url,
            "BUTTON_BASE_URL": self.button.url,
            "BUTTON_API_KEY": "sk-sandbox",
            "BENCH_INTEGRATION": integration,
            "BENCH_QUEUE": self.name,
            "BENCH_CERTIFICATE": certificate,
            "BENCH_BUTTON_ORDERS": json.dumps(
                {
                    "CONCURRENCY": CONCURRENCY,
                    "BATCH_SIZE": BATCH_SIZE,
                    **(button_orders or {}),
                }
            ),
        }

    def start_worker(self, *, pool: str = "prefork", concurrency: int = 4) -> Process:
        worker = Process(
            [
                *(sys.executable, "-m", "celery", "--app", "benchmarks.worker"),
                *("worker", "--pool", pool, "--concurrency", str(concurrency)),
                *("--hostname", f"{self.name}-{len(self.workers)}@localhost"),
                *("--without-gossip", "--without-mingle", "--without-heartbeat"),
            ],
            log=self.folder / f"worker-{len(self.workers)}.log",
            env=self.env,
            cwd=ROOT,
        )
        self.workers.append(worker)
        wait_until("the worker", lambda: self.has_started(worker), START_SECONDS)
        return worker

    def has_started(self, worker: Process) -> bool:
        if not worker.is_running:
            raise RuntimeError(worker.tail())
        return READY in worker.output()

    def start_shop(self, **env: str) -> Shop:
        log = self.folder / f"shop-{len(self.shops)}.log"
        shop = Shop(log, {**self.env, **env})
        self.shops.append(shop)
        return shop

    def sweep(self) -> None:
        """Send a sweep to the workers, as beat would."""
        if self.integration == "ours":
            self.celery.send_task(SWEEP)

    def publish(self, pks: list[int]) -> None:
        """Send naive's task for each order."""
        with self.celery.producer_pool.acquire(block=True) as producer:
            for pk in pks:
                self.celery.send_task(REPORT, args=(pk,), producer=producer)

    def wait_for_orders(self, count: int, *, until: float = float("inf")) -> None:
        """
        Wait until Button has ``count`` orders, or until the time ``until``.

        Sends a sweep when no order has arrived for a while, as beat would.
        """
        seen, since, swept = -1, time.monotonic(), time.monotonic()
        while (now := time.monotonic()) < until:
            if (orders := self.button.counts()["orders"]) >= count:
                return
            if orders != seen:
                seen, since, swept = orders, now, now
            elif now - since > PATIENCE_SECONDS:
                raise TimeoutError(
                    f"{self.name}: no order for {PATIENCE_SECONDS} seconds, after"
                    f" {seen} of {count}.\n{self.tails()}"
                )
            elif now - swept > SWEEP_SECONDS:
                self.sweep()
                swept = now
            time.sleep(0.05)

    def wait_for_rows(self, count: int) -> None:
        """Wait until ``count`` rows are reported."""
        rows: Any = ButtonOrder if self.integration == "ours" else Report
        reported = rows.objects.using(self.base.alias).filter(status="reported")
        wait_until(
            f"{count} rows that are reported",
            lambda: reported.count() >= count,
            PATIENCE_SECONDS,
        )

    def last_recorded_at(self) -> float | None:
        """Return the ``time.monotonic()`` at which the last row was recorded."""
        if self.integration != "ours":
            return None
        rows = ButtonOrder.objects.using(self.base.alias)
        last = rows.aggregate(last=Max("reported_at"))["last"]
        if last is None:
            return None
        seconds_ago: float = time.time() - last.timestamp()
        return time.monotonic() - seconds_ago

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self.workers]

    def cpu_seconds(self) -> float:
        return usage.cpu_seconds(self.pids)

    def complaints(self, word: str) -> int:
        """Return the number of lines with a word in the workers' logs."""
        logs = [worker.output().splitlines() for worker in self.workers]
        return sum(word in line for log in logs for line in log)

    def tails(self) -> str:
        return "\n".join(worker.tail() for worker in self.workers)

    def close(self) -> None:
        for shop in self.shops:
            shop.stop()
        for worker in self.workers:
            worker.send_all(signal.SIGKILL)
            worker.popen.wait()
        self.button.stop()
        self.celery.close()
