"""
Run the benchmarks: python -m benchmarks.run [scenario ...]

Each scenario measures this package and what shops write by hand, on private servers
of this machine. The output is a table of each with ratios, as soon as it has ended, and
whether each target is reached. --json also writes the figures of each round to a file,
as they come. Ctrl-C, or a scenario that fails, loses nothing of what was measured.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.report import Report

ROOT = Path(__file__).resolve().parent.parent
SCENARIOS = (
    "backlog",
    "burst",
    "checkout",
    "latency",
    "wire",
    "scale",
    "lists",
    "sqlite",
)
# These take long, and run only when they are named.
ON_REQUEST = ("admin", "capacity")
# --commands runs these, with as many orders as a shop's history has.
COMMANDS = ("backfill", "reconcile")
PACKAGES = (
    *("django", "celery", "kombu", "redis", "amqp", "requests", "urllib3"),
    *("psycopg", "mysqlclient", "psutil", "uvloop"),
)

# The exit status that a shell gives a process ended by Ctrl-C.
INTERRUPTED = 130

# The environment must not name other servers, proxies or certificates.
DISREGARDED = (
    *("DATABASE_URL", "CELERY_BROKER_URL", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"),
    *("all_proxy", "NETRC"),
)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "scenarios",
        nargs="*",
        metavar="scenario",
        help=f"all, unless some are named: {', '.join(SCENARIOS)}; or "
        f"{', '.join(ON_REQUEST)}; or, of the commands, {', '.join(COMMANDS)}",
    )
    parser.add_argument(
        "--commands", action="store_true", help="all of the commands, unless named"
    )
    parser.add_argument(
        "--orders",
        type=int,
        help="of the largest backlog, the others in proportion; of the history, for "
        "the commands",
    )
    parser.add_argument("--rounds", type=int, help="of each scenario")
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    parser.add_argument(
        "--database", choices=("postgresql", "mariadb", "sqlite"), default="postgresql"
    )
    parser.add_argument("--tls", action="store_true", help="Button is reached over TLS")
    parser.add_argument(
        "--quick", action="store_true", help="see that all of it works; no figures"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write it here, too")
    options = parser.parse_args(arguments)
    if unknown := set(options.scenarios) - {*SCENARIOS, *ON_REQUEST, *COMMANDS}:
        parser.error(f"There is no scenario {', '.join(sorted(unknown))}.")
    options.scenarios = options.scenarios or (
        COMMANDS if options.commands else SCENARIOS
    )
    return options


def machine() -> dict[str, Any]:
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        names = [line.partition(": ")[2] for line in lines if "model name" in line]
        model = next(iter(names), model)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "commit": commit(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **dict(versions()),
    }


def commit() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    done = subprocess.run(  # noqa: S603 - what is measured, with a + for changes
        [git, "describe", "--always", "--dirty=+"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def versions() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, "none"


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    # SIGTERM must end the servers and processes too, so it raises an exception.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    report = Report(machine(), {**vars(options), "json": None}, options.json)
    # The example project's modules are imported as `shop` and `config`.
    sys.path[:0] = [str(ROOT), str(ROOT / "example_project")]
    with ExitStack() as stack:
        folder = prepare(stack)
        bench = import_module("benchmarks.bench").Bench(options, folder, stack)
        report.begin()
        try:
            for name in options.scenarios:
                scenario = import_module(f"benchmarks.scenarios.{name}")
                report.run(name, partial(scenario.measure, bench))
        except KeyboardInterrupt:
            return INTERRUPTED
        finally:
            report.end(bench.servers.versions())
    return 1 if report.failed else 0


def prepare(stack: ExitStack) -> Path:
    """Set Django up in this process, with its files in a temporary folder."""
    from tests.faults.servers import temporary_folder

    folder = stack.enter_context(temporary_folder())
    os.environ["VAR_DIR"] = str(folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    for name in DISREGARDED:
        os.environ.pop(name, None)
    import django

    django.setup()
    return folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
