"""Run a management command in a process, and measure time, CPU and memory."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from benchmarks.bases import Base
from tests.faults.lab import ROOT

MANAGE = ROOT / "example_project" / "manage.py"


class Done(NamedTuple):
    """The summary of a command, and what it used."""

    summary: dict[str, Any]
    seconds: float
    # Of the command's process: the database server's work is only in ``seconds``.
    cpu_seconds: float
    peak_mib: float


def run_command(
    base: Base, *arguments: str, stdin: Path | None = None, **button_orders: Any
) -> Done:
    """
    Run a command with ``--format json``. Raises ``RuntimeError`` if it fails.

    ``button_orders`` changes keys of BUTTON_ORDERS.
    """
    env = {
        **os.environ,
        "BENCH_BUTTON_ORDERS": json.dumps(button_orders),
        "DATABASE_URL": base.url,
        "BENCH_INTEGRATION": "ours",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "example_project")]),
    }
    command = [sys.executable, str(MANAGE), *arguments, "--format", "json"]
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        Path(stdin or os.devnull).open("rb") as source,
    ):
        start = time.monotonic()
        pid = os.posix_spawn(
            sys.executable,
            command,
            env,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, source.fileno(), 0),
                (os.POSIX_SPAWN_DUP2, out.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, err.fileno(), 2),
            ],
        )
        peak = HighWater(pid)
        _, status, used = os.wait4(pid, 0)
        seconds = time.monotonic() - start
        peak.stop()
        for file in (out, err):
            file.seek(0)
        if status:
            raise RuntimeError(f"{arguments[0]}: {err.read().decode()[-3000:]}")
        summary = json.loads(out.read())
    return Done(summary, seconds, used.ru_utime + used.ru_stime, peak.mib)


class HighWater:
    """
    The peak memory of a process, in MiB.

    Linux keeps the peak of each process, so reading it now and then is enough. The
    figure of ``wait4()`` would include the memory of this process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.mib = 0.0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self) -> None:
        while not self.ended.wait(0.05):
            with suppress(OSError, psutil.Error, StopIteration):
                self.mib = max(self.mib, self.look())

    def look(self) -> float:
        status = Path(f"/proc/{self.pid}/status")
        if not status.exists():
            return float(psutil.Process(self.pid).memory_info().rss) / (1 << 20)
        lines = status.read_text().splitlines()
        mark = next(line for line in lines if line.startswith("VmHWM:"))
        return int(mark.split()[1]) / 1024

    def stop(self) -> None:
        self.ended.set()
        self.thread.join()
