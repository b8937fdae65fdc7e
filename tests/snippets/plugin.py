"""
Pytest's way in: a page is a file, and each of its blocks an item.

Blocks that define tests are test modules in it, which pytest runs as those of a shop.
"""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.test.utils import setup_databases, teardown_databases
from pytest_django.plugin import blocking_manager_key

from tests.snippets.errors import SnippetError
from tests.snippets.formats import UNCHECKED, check_format
from tests.snippets.page import Block, find_blocks
from tests.snippets.shell import check_shell

# These are run as scripts, from an empty folder: see ``tests.test_tutorial``. The
# second one needs Oscar, so ``make test-shops`` runs it.
SCRIPTS = {"first-order.rst", "django-oscar.rst"}
# What blocks of settings read from the environment.
ENVIRONMENT = {
    "BUTTON_API_KEY": "sk-snippets",
    "BUTTON_API_KEY_EU": "sk-snippets-eu",
    "BUTTON_API_KEY_OUTLET": "sk-snippets-outlet",
    "BUTTON_SITE": "live",
}


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Page | None:
    if file_path.suffix != ".rst" or file_path.name in SCRIPTS:
        return None
    return Page.from_parent(parent, path=file_path)


class Page(pytest.File):
    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        for block in find_blocks(self.path):
            if block.language in UNCHECKED:
                continue
            kind = TestsModule if is_test_module(block) else BlockItem
            yield kind.of(self, block)

    def setup(self) -> None:
        # Models cannot be imported before pytest-django has set Django up.
        from tests.snippets.state import PageState

        self.state = PageState()
        with self.config.stash[blocking_manager_key].unblock():
            self.state.enter()

    def teardown(self) -> None:
        with self.config.stash[blocking_manager_key].unblock():
            self.state.leave()


class BlockItem(pytest.Item):
    block: Block

    @classmethod
    def of(cls, page: Page, block: Block) -> BlockItem:
        item = cls.from_parent(page, name=f"line {block.line}")
        item.block, item.page = block, page
        if block.skip:
            item.add_marker(pytest.mark.skip(reason=block.skip))
        return item

    def runtest(self) -> None:
        from tests.snippets.python import run_python

        if self.block.language in ("::", "skip"):
            raise SnippetError(
                "Write '.. code-block:: LANGUAGE' for a block, so that it is checked."
                if self.block.language == "::"
                else "A skip must stand right above the block that it is for."
            )
        if self.block.language in ("python", "py"):
            with self.config.stash[blocking_manager_key].unblock():
                run_python(self.block, self.page.state)
        elif self.block.language in ("sh", "shell", "bash", "console"):
            check_shell(self.block)
        else:
            check_format(self.block)

    def repr_failure(self, excinfo: Any, style: Any = None) -> str:
        where = f"{short(self.path)}:{self.block.line}: "
        if isinstance(excinfo.value, SnippetError):
            return f"{where}{excinfo.value}"
        # The frames of this runner and of Django are of little use to an author.
        frames = [
            frame
            for frame in traceback.extract_tb(excinfo.tb)
            if frame.filename == str(self.path)
        ]
        lines = traceback.format_list(frames)
        lines += traceback.format_exception_only(excinfo.type, excinfo.value)
        return f"{where}this block raises an error.\n{''.join(lines)}"

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.block.line - 1, self.name


class TestsModule(pytest.Module):
    """A block of tests: a module with its own imports, on empty tables."""

    block: Block

    @classmethod
    def of(cls, page: Page, block: Block) -> TestsModule:
        module = cls.from_parent(page, path=page.path, name=f"line {block.line}")
        module.block = block
        return module

    def _getobj(self) -> ModuleType:
        from tests.snippets.python import compiled, parse

        module = ModuleType("test_shop")
        # Of two fixtures in plugins, the one that is registered last counts. That of
        # pytest-django may be, and would create the database once more.
        module.django_db_setup = django_db_setup
        try:
            code = compiled(self.block, parse(self.block))
            exec(code, vars(module))  # noqa: S102 - a block of our own documentation
        except Exception as exc:
            raise self.CollectError(
                f"{short(self.path)}:{self.block.line}: {type(exc).__name__}: {exc}\n"
                "A block of tests is a module: give it its imports."
            ) from exc
        return module


def is_test_module(block: Block) -> bool:
    from tests.snippets.python import defines_tests, parse

    try:
        is_python = block.language == "python" and not block.skip
        return is_python and defines_tests(parse(block))
    except SnippetError:
        return False


@pytest.fixture(autouse=True)
def empty_tables(request: pytest.FixtureRequest) -> None:
    """Take the orders of earlier blocks away from a test, until its rollback."""
    from django.test import TestCase
    from shop.models import Order

    from django_button_orders.models import ButtonOrder

    if request.node.get_closest_marker("django_db"):
        request.getfixturevalue("db")
    elif not (request.cls and issubclass(request.cls, TestCase)):
        return
    for model in (ButtonOrder, Order):
        model.objects.all().delete()


@pytest.fixture(scope="session")
def django_db_setup() -> None:
    """Replace pytest-django's fixture: the database is there before the first page."""


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Keep the sequence of a page: pytest-django runs tests with a database first."""
    places = {item: place for place, item in enumerate(items)}
    yield
    items.sort(key=places.__getitem__)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    os.environ.update(ENVIRONMENT)
    stay_on_this_machine()
    with session.config.stash[blocking_manager_key].unblock():
        session.snippets_databases = setup_databases(verbosity=0, interactive=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    with session.config.stash[blocking_manager_key].unblock():
        teardown_databases(session.snippets_databases, verbosity=0)


def stay_on_this_machine() -> None:
    """Let no block ask for, or connect to, another machine."""
    connect, getaddrinfo = socket.socket.connect, socket.getaddrinfo

    def connect_here(self: socket.socket, address: Any) -> None:
        check_host(address[0] if isinstance(address, tuple) else "localhost")
        connect(self, address)

    def getaddrinfo_here(host: Any, *args: Any, **kwargs: Any) -> Any:
        check_host(host)
        return getaddrinfo(host, *args, **kwargs)

    socket.socket.connect = connect_here
    socket.getaddrinfo = getaddrinfo_here


def check_host(host: str) -> None:
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise SnippetError(
            f"This block connects to {host}. Use the local Button: the name "
            "button_sandbox in a block, or the fixture in a test."
        )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the reason of each skip, and how many blocks ran."""
    stats = terminalreporter.stats
    for report in stats.get("skipped", []):
        path, line, reason = report.longrepr
        reason = reason.removeprefix("Skipped: ")
        terminalreporter.write_line(f"{short(Path(path))}:{line}: skipped: {reason}")
    run, skipped, failed, error = (
        len(stats.get(kind, [])) for kind in ("passed", "skipped", "failed", "error")
    )
    terminalreporter.write_line(
        f"Blocks and tests in them: {run} run, {skipped} skipped, "
        f"{failed + error} wrong."
    )


def short(path: Path) -> str:
    """Return a path as an author would type it."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
