"""
Run the fault tests: ``python -m tests.faults.run``, or with arguments of pytest.

It starts private servers, unless ``DATABASE_URL`` and ``CELERY_BROKER_URL`` name some.
Without arguments, it runs what every change has to pass.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.faults import servers

ROOT = Path(__file__).resolve().parent.parent.parent
# Fault tests wait half of the time, so one job more than processors.
JOBS = max(2, os.cpu_count() or 2) + 1
# Tests are sorted by duration, so each job gets one at a time, and no chunk.
SHARED = ("-n", str(JOBS), "--maxschedchunk", "1")
USUAL = ("-m", "faults and not losses and not soak", "--durations", "10")


@contextmanager
def servers_for_all() -> Iterator[dict[str, str]]:
    """Start the servers that all tests share, and yield their URLs by kind."""
    kinds = [
        *(() if os.environ.get("DATABASE_URL") else ("postgresql", "mariadb")),
        *(() if os.environ.get("CELERY_BROKER_URL") else ("redis", "rabbitmq")),
    ]
    with ExitStack() as stack:
        folder = stack.enter_context(servers.temporary_folder())
        urls = {}
        for kind in kinds:
            server = servers.start(kind, folder / kind)
            stack.callback(server.stop)
            urls[kind] = server.url
        yield urls


def main(arguments: list[str]) -> int:
    options = arguments or USUAL
    command = [sys.executable, "-m", "pytest", "-q", "tests/faults", *SHARED, *options]
    with servers_for_all() as urls:
        env = {**os.environ, "FAULTS_SERVERS": json.dumps(urls)}
        return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
