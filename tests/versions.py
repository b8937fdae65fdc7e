"""
Run the suite with other versions of Python, Django, Celery and database drivers.

``python -m tests.versions`` starts private databases, and runs the environments that
``tox.ini`` lists. Arguments go to ``tox run``: ``-e py312-django60-celery55-sqlite``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.faults import servers

ROOT = Path(__file__).resolve().parent.parent
# pyenv keeps the Pythons here, and puts only one of them on the PATH.
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))


def pythons() -> list[str]:
    """Return the options that name the Pythons of pyenv to tox."""
    found = sorted(PYENV.glob("versions/3.*/bin/python3"))
    return ["--discover", *map(str, found)] if found else []


def with_archive(name: str, url: str) -> dict[str, str]:
    """Return the variables that name a database and the tests' second one."""
    archive = urlunsplit(urlsplit(url)._replace(path="/archive"))
    return {f"{name}_URL": url, f"{name}_ARCHIVE_URL": archive}


def tox(*arguments: str, **env: str) -> int:
    command = [sys.executable, "-m", "tox", *arguments, *pythons()]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, check=False)
    return done.returncode


def main(arguments: list[str]) -> int:
    with servers.temporary_folder() as folder:
        postgresql = servers.start("postgresql", folder / "postgresql")
        mariadb = servers.start("mariadb", folder / "mariadb")
        try:
            # Installing waits for the network, so all environments do it at once.
            tox("run-parallel", "--notest", "--parallel-no-spinner", *arguments)
            return tox(
                "run",
                *arguments,
                **with_archive("POSTGRESQL", postgresql.url),
                **with_archive("MARIADB", mariadb.url),
            )
        finally:
            mariadb.stop()
            postgresql.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
