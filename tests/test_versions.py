"""What we say of versions is what we run: setup.cfg, tox.ini and the page agree."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "reference" / "versions.rst").read_text(encoding="utf-8")
DRIVERS = {"psycopg", "psycopg2", "mysqlclient", "pymysql"}


def read(name: str) -> ConfigParser:
    parser = ConfigParser(interpolation=None)
    parser.read(ROOT / name, encoding="utf-8")
    return parser


def environments() -> list[str]:
    lines = read("tox.ini")["tox"]["env_list"].split("\n")
    return [line for line in lines if line and not line.startswith("#")]


def claimed(component: str) -> set[str]:
    """Return the versions of a component that the page calls tested."""
    cell = PAGE.partition(f"* - {component}\n     - ")[2].partition("\n")[0]
    return set(cell.split(", "))


def run(prefix: str) -> set[str]:
    """Return the versions that tox runs, such as "5.2" of "django52"."""
    names = "-".join(environments()).split("-")
    found = [re.fullmatch(rf"{prefix}(\d)(\d+)", name) for name in names]
    return {f"{match[1]}.{match[2]}" for match in found if match}


def classified(prefix: str) -> set[str]:
    text = read("setup.cfg")["metadata"]["classifiers"]
    return set(re.findall(rf"^{re.escape(prefix)} :: (\d+\.\d+)$", text, re.MULTILINE))


def test_page_lists_the_environments_of_tox():
    listed = set(re.findall(r"\* - ``(py3\S+)``", PAGE))

    assert listed == set(environments())


@pytest.mark.parametrize(
    ("component", "classifier"),
    [
        ("Python", "Programming Language :: Python"),
        ("Django", "Framework :: Django"),
    ],
)
def test_classifiers_are_tested(component, classifier):
    assert classified(classifier) == claimed(component)


def test_tested_versions_are_run():
    # `make test` runs Python 3.11.
    assert claimed("Python") == run("py") | {"3.11"}
    assert claimed("Django") == run("django")
    assert claimed("Celery") == run("celery")


def test_each_driver_is_run():
    factors = set("-".join(environments()).split("-"))

    assert factors >= DRIVERS
