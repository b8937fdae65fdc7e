"""Fixtures: the pages of a shop's admin in Chromium, and a sandbox."""

from __future__ import annotations

import os

import pytest
from django.conf import settings
from playwright.sync_api import expect

from tests.browser.conftest import chromium  # noqa: F401 - a fixture
from tests.themes.desk import Desk

# Playwright runs a loop in this thread, which Django takes for asynchronous code.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
# A failing test waits this long.
PATIENCE_MS = 20_000
# An admin of ours alone, and one that is combined with that of the theme.
SITES = ["admin", "combined"] if "unfold" in settings.INSTALLED_APPS else ["admin"]


@pytest.fixture(params=SITES)
def site(request):
    """Return the name of an admin site."""
    return request.param


@pytest.fixture(scope="session")
def window(chromium, live_server):  # noqa: F811 - the fixture
    """Return a window that keeps the style sheets and scripts of a theme."""
    expect.set_options(timeout=PATIENCE_MS)
    context = chromium.new_context(base_url=live_server.url)
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def desk(window, live_server, button_sandbox, admin_client, site):
    """Return a superuser who has logged in, and has a page of their own."""
    cookie = admin_client.cookies["sessionid"].value
    window.clear_cookies()
    window.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
    page = window.new_page()
    yield Desk(page, button_sandbox, site)
    page.close()
