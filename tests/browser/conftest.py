"""Chromium, the example shop with all of its processes, and people at their desks."""

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
# Debian's, unless the environment names another one.
CHROMIUM = os.environ.get("CHROMIUM", "chromium")
PASSWORD = "tea-and-mugs"
# For a machine that is busy with other things. Nothing waits for that long in vain,
# unless it fails.
PATIENCE_MS = 15_000


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Leave modules alone that need Playwright, unless they are asked for."""
    return None if config.option.markexpr == "browser" else True


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Open the example shop, with its sandbox, worker and sweep."""
    processes = Processes(tmp_path_factory.mktemp("shop"))
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
        processes.start_all()
        yield processes
    finally:
        processes.stop_all()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import expect, sync_playwright

    path = shutil.which(CHROMIUM)
    assert path, f"There is no {CHROMIUM}. Debian has it: apt-get install chromium"
    expect.set_options(timeout=PATIENCE_MS)
    # Its sandbox, which is not ours, does not work for root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def new_page(shop: Processes, chromium: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that opens a window for somebody with no cookies yet."""
    with ExitStack() as stack:

        def open_window(**options: Any) -> Any:
            context = chromium.new_context(base_url=shop.shop_url, **options)
            stack.callback(context.close)
            context.set_default_timeout(PATIENCE_MS)
            return context.new_page()

        yield open_window


@pytest.fixture
def button(shop: Processes) -> Iterator[Button]:
    """Return the sandbox, which behaves again in the end."""
    sandbox = Button(shop.sandbox_url)
    yield sandbox
    sandbox.behave()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where screenshots go: those of the documentation only if asked for."""
    if os.environ.get("SCREENSHOTS"):
        return ROOT / "docs" / "images"
    return tmp_path_factory.mktemp("pictures")
