"""Start and stop the processes of the demo."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

HERE = Path(__file__).resolve().parent
# A Celery worker finishes its current task before it ends.
PATIENCE_SECONDS = 15


class DemoError(Exception):
    """A step of the demo did not end as it should."""


class Processes:
    """Run a sandbox, a web server, a Celery worker and Celery beat."""

    def __init__(self, var_dir: Path) -> None:
        self.var_dir = var_dir
        self.sandbox_url = f"http://127.0.0.1:{free_port()}"
        self.shop_url = f"http://127.0.0.1:{free_port()}"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.is_over = threading.Event()
        self.env = {
            **os.environ,
            "VAR_DIR": str(var_dir),
            "BUTTON_BASE_URL": self.sandbox_url,
            "BUTTON_API_KEY": "sk-sandbox",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONUNBUFFERED": "1",
        }

    def start_all(self, seconds: float = 60) -> None:
        """Start all processes. Wait up to ``seconds`` for each to be ready."""
        self.start_servers(seconds)
        celery = ("-m", "celery", "--app", "config")
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        worker = ("worker", "--concurrency", "2", "--loglevel", "INFO")
        self.start("worker", *celery, *worker, *quiet)
        threading.Thread(
            target=self.keep_running,
            args=("worker", *celery, *worker, *quiet),
            daemon=True,
        ).start()
        pidfile = str(self.var_dir / "beat.pid")
        self.start("beat", *celery, "beat", "--pidfile", pidfile)
        wait_for(
            "the worker to be ready",
            lambda: " ready." in self.log_of("worker"),
            seconds,
        )

    def start_servers(self, seconds: float = 60) -> None:
        """Start the sandbox and the shop, without a worker and beat."""
        port = self.sandbox_url.rpartition(":")[2]
        address = self.shop_url.removeprefix("http://")
        self.start("sandbox", "manage.py", "button_orders_sandbox", "--port", port)
        self.start("web", "manage.py", "runserver", "--noreload", address)
        sandbox_page = f"{self.sandbox_url}/sandbox"
        wait_for("the sandbox to answer", lambda: is_up(sandbox_page), seconds)
        wait_for("the shop to answer", lambda: is_up(self.shop_url), seconds)

    def start(self, name: str, *arguments: str) -> None:
        with (self.var_dir / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(  # noqa: S603 - our own commands
                [sys.executable, *arguments],
                cwd=HERE,
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def keep_running(self, name: str, *arguments: str) -> None:
        """
        Restart a process whenever it ends, as systemd would.

        Celery's filesystem broker sometimes delivers a message that is only half
        written, and the worker then exits.
        """
        while not self.is_over.wait(0.5):
            if self.running[name].poll() is not None and not self.is_over.is_set():
                self.start(name, *arguments)

    def manage(self, *arguments: str, show: bool = False, **env: str) -> str:
        """Run a management command, and return its output."""
        done = subprocess.run(  # noqa: S603 - our own commands
            [sys.executable, "manage.py", *arguments],
            cwd=HERE,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            # ``show`` leaves the progress bar, on standard error, on the terminal.
            stderr=None if show else subprocess.STDOUT,
            check=False,
        )
        output = done.stdout.decode()
        if done.returncode != 0:
            raise DemoError(f"manage.py {' '.join(arguments)} failed:\n{output}")
        return output

    def log_of(self, name: str) -> str:
        return (self.var_dir / f"{name}.log").read_text(errors="replace")

    def tails(self) -> str:
        names = sorted(path.stem for path in self.var_dir.glob("*.log"))
        logs = {name: self.log_of(name).splitlines()[-15:] for name in names}
        return "\n".join(
            "\n".join([f"--- {name}.log", *lines]) for name, lines in logs.items()
        )

    def stop_all(self) -> None:
        self.is_over.set()
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_up(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


def wait_for(what: str, is_true: Callable[[], Any], seconds: float = 30) -> None:
    """Wait until a condition is true. Raises ``DemoError`` after ``seconds``."""
    ends = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > ends:
            raise DemoError(f"Waited {seconds:g} seconds in vain for {what}.")
        time.sleep(0.2)
