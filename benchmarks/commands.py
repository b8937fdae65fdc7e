"""Running a management command as an operator does, and what it has used."""

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
    """What a command has said at its end, and what it took."""

    summary: dict[str, Any]
    seconds: float
    #: Of its own process: what the database does is in ``seconds`` alone.
    cpu_seconds: float
    peak_mib: float


def run_command(
    base: Base, *arguments: str, stdin: Path | None = None, **button_orders: Any
) -> Done:
    """
    Run a command that prints JSON. Raises ``RuntimeError`` where it fails.

    ``button_orders`` are keys of the setting of that name.
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
    The most memory that a process has had.

    Linux keeps it for each process, so it is enough to look at it now and then.
    What ``wait4()`` tells includes the memory of the process that has started it.
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
