"""The documents for developers name modules and functions that exist."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import django_button_orders
from tests.utils import find_name

PACKAGE = Path(django_button_orders.__file__).parent
ROOT = PACKAGE.parent
DOCUMENTS = ("docs/explanation/architecture.rst", "CONTRIBUTING.rst")
ROOMS = (
    "admin",
    "client",
    "delivery",
    "files",
    "management",
    "models",
    "monitoring",
    "operations",
    "outbox",
    "reconcile",
    "report",
    "sandbox",
    "tasks",
)
PATH = re.compile(r"[\w.-]*/[\w./-]*|[\w-]+\.(?:py|rst|cfg)")
DOTTED = re.compile(r"[a-z_]+(\.\w+)+")


def literals(name):
    return set(re.findall(r"``([^`]+)``", (ROOT / name).read_text()))


def first_of(name):
    return name.partition(".")[0]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_exist(document):
    paths = {text for text in literals(document) if PATH.fullmatch(text)}
    missing = {
        path
        for path in paths
        if not (ROOT / path).exists() and not (PACKAGE / path).exists()
    }

    assert paths
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_names_exist(document):
    """A name without a package is one of ours."""
    modules = {path.stem for path in PACKAGE.iterdir()}
    names = {text for text in literals(document) if DOTTED.fullmatch(text)}
    ours = {f"{PACKAGE.name}.{name}" for name in names if first_of(name) in modules}
    others = {name for name in names if first_of(name) in (PACKAGE.name, "tests")}

    assert ours
    for name in ours | others:
        assert find_name(name), name


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_say_what_happens_there(room):
    """The docstring of each folder names all of its files."""
    docstring = import_module(f"django_button_orders.{room}").__doc__
    files = {path.stem for path in (PACKAGE / room).glob("*.py")} - {"__init__"}
    named = set(re.findall(r"``(\w+)``", docstring))

    assert not files - named
    assert room in literals("docs/explanation/architecture.rst")
