"""Start processes, wait for them, and end them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 120


class Process:
    """A process and its children, which end together: they are one process group."""

    def __init__(
        self,
        arguments: list[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
    ) -> None:
        self.name = log.stem
        self.log = log
        # Some servers refuse to run as root.
        owner = {"user": user, "group": user, "extra_groups": []} if user else {}
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
                **owner,
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def is_running(self) -> bool:
        return self.popen.poll() is None

    def children(self) -> list[int]:
        """Return the ids of the child processes."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def send(self, number: int) -> None:
        self.popen.send_signal(number)

    def send_all(self, number: int) -> None:
        """Send a signal to the process and its children."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """Kill the process and its children, without a chance to clean up."""
        self.send_all(signal.SIGKILL)
        self.popen.wait()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask the process to end, and return its exit status."""
        if self.is_running:
            self.send(number)
        try:
            return self.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.popen.wait()
        finally:
            self.send_all(signal.SIGKILL)

    def wait(self, seconds: float) -> int:
        return self.popen.wait(seconds)

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def tail(self, lines: int = 25) -> str:
        return "\n".join([f"--- {self.name}", *self.output().splitlines()[-lines:]])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(
    what: str, is_true: Callable[[], Any], seconds: float, *, every: float = 0.2
) -> None:
    """Wait until a condition is true. Raises ``TimeoutError`` after ``seconds``."""
    ends = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > ends:
            raise TimeoutError(f"Waited {seconds:g} seconds in vain for {what}.")
        time.sleep(every)
