"""
Run the suite with other versions of Python, Django, Celery and database drivers.

``python -m tests.versions`` starts private servers, and runs the environments that
``tox.ini`` lists. Arguments go to ``tox run``: ``-e py312-django60-celery55-sqlite``.
``--browser`` opens the pages of Django 6.1 in Chromium instead, and needs no servers.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.faults.run import servers_for_all

ROOT = Path(__file__).resolve().parent.parent
# pyenv keeps Pythons here, and puts only one of them on the PATH.
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))


def main(arguments: list[str]) -> int:
    if arguments == ["--browser"]:
        # A missing Python is an error, because this is all that would be run.
        strict = ("--skip-missing-interpreters", "false")
        return tox("run", "-e", "browser-django61", *strict)
    # Installing waits for the network, so all environments do it at once.
    tox("run-parallel", "--notest", "--parallel-no-spinner", *arguments)
    with servers_for_all() as urls:
        variables = {f"{kind.upper()}_URL": url for kind, url in urls.items()}
        for kind in ("postgresql", "mariadb"):
            second = urlsplit(urls[kind])._replace(path="/archive")
            variables[f"{kind.upper()}_ARCHIVE_URL"] = urlunsplit(second)
        return tox("run", *arguments, **variables)


def tox(*arguments: str, **env: str) -> int:
    """Run tox, and return its exit status. It says which Pythons are missing."""
    command = [sys.executable, "-m", "tox", *arguments, *discovery()]
    env = {**os.environ, **env}
    done = subprocess.run(  # noqa: S603 - our own command
        command, cwd=ROOT, env=env, check=False
    )
    return done.returncode


def discovery() -> list[str]:
    """Return the options that name the Pythons of pyenv to tox."""
    found = sorted(PYENV.glob("versions/3.*/bin/python3"))
    return ["--discover", *map(str, found)] if found else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
