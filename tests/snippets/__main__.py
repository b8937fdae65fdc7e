"""Run the blocks of some pages, or of all: ``python -m tests.snippets [PAGE ...]``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = "tests.snippets.settings"


def main() -> int:
    os.environ["DJANGO_SETTINGS_MODULE"] = SETTINGS
    # Options that are for another run, such as -n 4.
    os.environ.pop("PYTEST_ADDOPTS", None)
    # Pages import ``shop``.
    sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
    # For packages that the tests do not install. An installed one comes first.
    sys.path.append(str(Path(__file__).parent / "stand_ins"))
    pages = sys.argv[1:] or [str(ROOT / "README.rst"), str(ROOT / "docs")]
    options = [
        "-p",
        "tests.snippets.plugin",
        "--rootdir",
        str(ROOT),
        "-c",
        str(ROOT / "setup.cfg"),
    ]
    # Blocks of a page build upon each other, so their sequence is kept.
    options += ["-p", "no:randomly", "-p", "no:cacheprovider", "--ds", SETTINGS, "-q"]
    options += ["--continue-on-collection-errors", "--tb=short", "-rN"]
    # An editable installation lists this package as one with plugins of pytest.
    options += ["-W", "ignore:Module already:pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*options, *pages]))


if __name__ == "__main__":
    sys.exit(main())
