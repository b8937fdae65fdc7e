"""Find what keeps all orders from Button: wrong settings, or no sweep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from django_button_orders.conf import (
    account_names,
    find_problems,
    get_settings,
    is_loopback,
    this_site,
)
from django_button_orders.monitoring.current import Statistics, find_sweep_seconds
from django_button_orders.monitoring.snapshot import database_time

# Celery beat starts a sweep every 30 seconds.
SWEEP_MISSING_SECONDS = 600
# The keys of the sandbox and of Button's documentation.
EXAMPLE_KEYS = ("sk-sandbox", "sk-XXX")
OTHER_SITE = ngettext_lazy(
    "%(count)d pending order in the database %(alias)s is not reported: it belongs to "
    "the site %(site)s, and SITE is %(here)s here. This is right in a copy of that "
    "shop. In the shop itself, set SITE to %(site)s.",
    "%(count)d pending orders in the database %(alias)s are not reported: they belong "
    "to the site %(site)s, and SITE is %(here)s here. This is right in a copy of that "
    "shop. In the shop itself, set SITE to %(site)s.",
    "count",
)


class Alert(NamedTuple):
    """A problem that an operator should solve."""

    code: str
    # The name of the account or the database.
    subject: str
    message: str


def find_alerts(aliases: Iterable[str]) -> list[Alert]:
    """Return the alerts about the settings, and about the sweeps of databases."""
    return [*find_settings_alerts(), *find_sweep_alerts(aliases)]


def find_settings_alerts() -> Iterator[Alert]:
    problems = list(find_problems())
    for problem in problems:
        message = _("Nothing is sent, because BUTTON_ORDERS has an error: %(problem)s")
        yield Alert("settings", "", message % {"problem": problem.message})
    if not problems:
        for account in account_names():
            yield from find_account_alerts(account)


def find_account_alerts(account: str) -> Iterator[Alert]:
    found = get_settings(account)
    names = {"account": account, "url": found.base_url}
    if not found.enabled:
        message = _(
            "ENABLED is False for the account %(account)s: its orders are recorded "
            "but not sent."
        )
        yield Alert("disabled", account, message % names)
    elif not found.api_key:
        message = _(
            "The account %(account)s has no API_KEY: its orders are recorded but not "
            "sent."
        )
        yield Alert("no_key", account, message % names)
    if settings.DEBUG:
        return
    if is_sandbox(found.base_url):
        message = _(
            "Button does not get the orders of the account %(account)s: DEBUG is "
            "False, but BASE_URL is the sandbox %(url)s."
        )
        yield Alert("sandbox_url", account, message % names)
    if found.api_key in EXAMPLE_KEYS:
        message = _(
            "The account %(account)s has an example key as its API_KEY, and DEBUG is "
            "False: Button does not accept it."
        )
        yield Alert("example_key", account, message % names)


def find_site_alerts(databases: Iterable[Statistics]) -> Iterator[Alert]:
    """Yield an alert for each other site that has pending orders in a database."""
    for statistics in databases:
        alias = statistics.using
        for site, count in statistics.orders.other_sites.items():
            message = describe_other_site(site, count, using=alias)
            yield Alert("other_site", alias, message)


def describe_other_site(site: str, count: int, *, using: str) -> str:
    """Return why orders of another site wait, and what to do about it."""
    here = this_site() or str(_("not set"))
    names = {"count": count, "alias": using, "site": site, "here": here}
    return str(OTHER_SITE % names)


def is_sandbox(base_url: str) -> bool:
    return is_loopback(base_url) or "sandbox" in (urlsplit(base_url).hostname or "")


def find_sweep_alerts(aliases: Iterable[str]) -> Iterator[Alert]:
    for alias in aliases:
        seconds = find_sweep_seconds(alias, database_time(alias))
        yield from find_sweep_alert(alias, seconds)


def find_sweep_alert(alias: str, seconds: float | None) -> Iterator[Alert]:
    if seconds is None:
        message = _(
            "No sweep has run in the database %(alias)s yet. Check that Celery beat "
            "and a worker are running, or 'button_orders_report --loop'."
        )
        yield Alert("no_sweep", alias, message % {"alias": alias})
    elif seconds > SWEEP_MISSING_SECONDS:
        # This is ten minutes or more, so the text needs no singular.
        message = _(
            "No sweep has run in the database %(alias)s for %(minutes)s minutes. Check "
            "that Celery beat and a worker are running, or 'button_orders_report "
            "--loop'."
        )
        names = {"alias": alias, "minutes": str(int(seconds // 60))}
        yield Alert("no_sweep", alias, message % names)
