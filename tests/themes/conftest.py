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


@pytest.fixture
def open_desk(chromium, live_server, button_sandbox, admin_client):  # noqa: F811
    """Return a function that opens a window in which a superuser is logged in."""
    expect.set_options(timeout=PATIENCE_MS)
    cookie = admin_client.cookies["sessionid"].value
    contexts = []

    def open_desk(site, **options):
        context = chromium.new_context(base_url=live_server.url, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        context.add_cookies(
            [{"name": "sessionid", "value": cookie, "url": live_server.url}]
        )
        return Desk(context.new_page(), button_sandbox, site)

    yield open_desk
    for context in contexts:
        context.close()


@pytest.fixture
def desk(open_desk, site):
    return open_desk(site)
