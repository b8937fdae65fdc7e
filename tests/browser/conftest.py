"""Fixtures: Chromium, the processes of the example shop, and browser windows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from example_project.button import Button
from example_project.processes import Processes

ROOT = Path(__file__).resolve().parent.parent.parent
# The default is the name of Debian's package.
CHROMIUM = os.environ.get("CHROMIUM", "chromium")
PASSWORD = "tea-and-mugs"
# Only a failing test waits this long, or a test on a very busy machine.
PATIENCE_MS = 90_000
PROCESSES = pytest.StashKey[Processes]()


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Ignore these modules without ``-m browser``, because they need Playwright."""
    return None if config.option.markexpr == "browser" else True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Add the output of the shop's processes to the report of a failed test."""
    report = yield
    processes = item.config.stash.get(PROCESSES, None)
    if report.failed and processes is not None:
        report.sections.append(("The shop's processes", processes.tails()))
    return report


@pytest.fixture(scope="session")
def shop(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Processes]:
    """Start the example shop, its sandbox, and a process that reports orders."""
    processes = Processes(tmp_path_factory.mktemp("shop"))
    # No worker reads this broker. Celery's broker in files sometimes crashes its
    # worker, which may read a message before it is complete.
    processes.env["CELERY_BROKER_URL"] = "memory://"
    try:
        processes.manage("migrate", "--verbosity", "0")
        processes.manage("stock_shop")
        processes.manage(
            "createsuperuser",
            "--noinput",
            "--username=clerk",
            "--email=clerk@example.com",
            DJANGO_SUPERUSER_PASSWORD=PASSWORD,
        )
        processes.start_servers(seconds=PATIENCE_MS / 1000)
        report = ("button_orders_report", "--loop", "--interval", "1")
        processes.start("report", "manage.py", *report)
        pytestconfig.stash[PROCESSES] = processes
        yield processes
    finally:
        processes.stop_all()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import expect, sync_playwright

    path = shutil.which(CHROMIUM)
    assert path, f"There is no {CHROMIUM}. Debian has it: apt-get install chromium"
    expect.set_options(timeout=PATIENCE_MS)
    # Chromium's own sandbox does not start for root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def open_window(shop: Processes, chromium: Any) -> Callable[..., Any]:
    """Return a function that opens a window, with cookies only if they are given."""

    def open_window(**options: Any) -> Any:
        context = chromium.new_context(base_url=shop.shop_url, **options)
        context.set_default_timeout(PATIENCE_MS)
        return context.new_page()

    return open_window


@pytest.fixture
def new_page(open_window: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Return ``open_window`` for one test, and close its windows afterwards."""
    with ExitStack() as stack:

        def new_page(**options: Any) -> Any:
            page = open_window(**options)
            stack.callback(page.context.close)
            return page

        yield new_page


@pytest.fixture(scope="session")
def clerk(open_window: Callable[..., Any]) -> Any:
    """Return the cookies of an operator who has logged in."""
    from tests.browser.people import Operator

    page = open_window()
    Operator(page).log_in()
    cookies = page.context.storage_state()
    page.context.close()
    return cookies


@pytest.fixture(scope="session")
def sandbox(shop: Processes) -> Button:
    return Button(shop.sandbox_url)


@pytest.fixture
def button(sandbox: Button) -> Iterator[Button]:
    """Return the sandbox, and end its misbehaviour after the test."""
    yield sandbox
    sandbox.behave()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")
