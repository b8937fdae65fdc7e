"""
Run the whole suite on real databases and brokers, then the fault tests.

``python -m tests.faults.run`` starts private servers, unless ``DATABASE_URL``
and ``CELERY_BROKER_URL`` name some. ``--only`` skips the suite, and passes the
arguments after it to the pytest of the fault tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.faults import servers

ROOT = Path(__file__).resolve().parent.parent.parent
# Each database is tested with one broker.
PAIRS = (("postgresql", "redis"), ("mariadb", "rabbitmq"))
# Fault tests wait half of the time, so one job more than processors.
JOBS = max(2, os.cpu_count() or 2) + 1
# Tests are sorted by duration, so each job gets one at a time, and no chunk.
SHARED = ("-n", str(JOBS), "--maxschedchunk", "1")
LIMIT_MINUTES = 15


@contextmanager
def url_of(kind: str, variable: str, folder: Path) -> Iterator[str]:
    """Yield the URL that the environment names, or that of a private server."""
    given = os.environ.get(variable)
    if given:
        yield given
        return
    server = servers.start(kind, folder / kind)
    try:
        yield server.url
    finally:
        server.stop()


@contextmanager
def servers_for_all() -> Iterator[dict[str, str]]:
    """Start the servers that all tests share, and yield their URLs by kind."""
    databases, brokers = zip(*PAIRS, strict=True)
    kinds = [
        *(() if os.environ.get("DATABASE_URL") else databases),
        *(() if os.environ.get("CELERY_BROKER_URL") else brokers),
    ]
    with ExitStack() as stack:
        folder = stack.enter_context(servers.temporary_folder())
        urls = {}
        for kind in kinds:
            server = servers.start(kind, folder / kind)
            stack.callback(server.stop)
            urls[kind] = server.url
        yield urls


def pytest(*arguments: str, **env: str) -> int:
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    sys.stdout.write(f"\n== {' '.join(command[1:])} ==\n")
    sys.stdout.flush()
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **env}, check=False
    ).returncode


def run_suite(folder: Path) -> int:
    failed = 0
    for database, broker in PAIRS:
        with (
            url_of(database, "DATABASE_URL", folder) as database_url,
            url_of(broker, "CELERY_BROKER_URL", folder) as broker_url,
        ):
            archive = urlunsplit(urlsplit(database_url)._replace(path="/archive"))
            failed |= pytest(
                *SHARED,
                DATABASE_URL=database_url,
                ARCHIVE_DATABASE_URL=archive,
                CELERY_BROKER_URL=broker_url,
            )
    return failed


def run_faults(arguments: list[str]) -> int:
    selection = ("-m", "faults and not losses and not soak", "--durations", "10")
    start = time.monotonic()
    with servers_for_all() as urls:
        failed = pytest(
            "tests/faults",
            *SHARED,
            *selection,
            *arguments,
            FAULTS_SERVERS=json.dumps(urls),
        )
    minutes = (time.monotonic() - start) / 60
    sys.stdout.write(f"The fault tests took {minutes:.1f} minutes.\n")
    if minutes > LIMIT_MINUTES:
        sys.stdout.write(f"That is more than the {LIMIT_MINUTES} that they may take.\n")
    return failed


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--only"]:
        with servers_for_all() as urls:
            selected = ("tests/faults", *SHARED, *arguments[1:])
            return pytest(*selected, FAULTS_SERVERS=json.dumps(urls))
    with servers.temporary_folder() as folder:
        failed = run_suite(folder)
    failed |= run_faults(arguments)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
