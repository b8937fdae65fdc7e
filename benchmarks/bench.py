"""What a scenario gets: options, servers, and systems that end with the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.bases import Base, Messages, Servers
from benchmarks.system import System
from tests.faults.lab import ROOT
from tests.faults.servers import Server


class Bench:
    """One run of ``benchmarks.run``."""

    def __init__(self, options: Namespace, folder: Path, stack: ExitStack) -> None:
        self.options = options
        self.folder = folder
        self.stack = stack
        self.servers = Servers(folder)
        stack.callback(self.servers.stop)
        self.bases: dict[tuple[str, str], Base] = {}
        self.made_certificate = ""

    def rounds(self, default: int) -> range:
        if self.options.quick:
            return range(1)
        return range(self.options.rounds or default)

    def orders(self, default: int, *, quick: int = 100) -> int:
        """Return the number of orders of a scenario, scaled by --orders."""
        if self.options.quick:
            return min(default, quick)
        if self.options.orders:
            # All numbers are scaled alike, so naive keeps its share.
            return max(50, round(default * self.options.orders / LARGEST))
        return default

    def history(self, default: int, *, quick: int) -> int:
        """Return the number of orders in a shop's history, for the commands."""
        if self.options.quick:
            return quick
        orders: int = self.options.orders or default
        return orders

    def seconds(self, default: float) -> float:
        return default / 5 if self.options.quick else default

    @property
    def broker(self) -> Server:
        return self.servers.get(self.options.broker)

    def messages(self) -> Messages:
        return Messages(self.broker)

    def base(self, integration: str, kind: str = "") -> Base:
        """Return the database of an integration, which all its systems share."""
        kind = kind or self.options.database
        key = (integration, kind)
        if key not in self.bases:
            server = None if kind == "sqlite" else self.servers.get(kind)
            self.bases[key] = Base(server, self.folder, self.stack)
        return self.bases[key]

    @contextmanager
    def system(
        self,
        integration: str,
        *,
        database: str = "",
        broker_url: str = "",
        **options: Any,
    ) -> Iterator[System]:
        options.setdefault("certificate", self.certificate if self.options.tls else "")
        system = System(
            integration,
            folder=self.folder,
            base=self.base(integration, database),
            broker_url=broker_url or self.broker.url,
            **options,
        )
        try:
            yield system
        finally:
            system.close()

    @property
    def certificate(self) -> str:
        """Return the path of a self-signed certificate with its key."""
        path = self.folder / "button.pem"
        if not self.made_certificate:
            self.made_certificate = str(path)
            subprocess.run(  # noqa: S603 - our own words
                [
                    *("openssl", "req", "-x509", "-newkey", "ec", "-nodes"),
                    *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"),
                    *("-subj", "/CN=localhost", "-keyout", path, "-out", f"{path}.crt"),
                    *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
                ],
                check=True,
                capture_output=True,
            )
            with path.open("ab") as file:
                file.write(Path(f"{path}.crt").read_bytes())
        return self.made_certificate

    def run(
        self,
        module: str,
        *arguments: str,
        env: dict[str, str] | None = None,
        seconds: float = 300,
    ) -> dict[str, Any]:
        """Run a module in another process, and return the JSON that it prints."""
        paths = [str(ROOT), str(ROOT / "example_project")]
        done = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **(env or {})},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{module}: {done.stderr[-3000:]}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def say(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


# --orders is the size of the largest backlog. The other numbers follow.
LARGEST = 20_000
