"""
The system checks of ``manage.py check``: the settings, the middleware, the adapters.

To add a check, write a function that yields messages, and call it in
``check_button_orders``. Take a new ID: an old one is never used again, because
projects may silence it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import FieldDoesNotExist

from django_button_orders.conf import (
    LEASE_MARGIN_SECONDS,
    LEASE_START_SECONDS,
    SETTING,
    account_names,
    find_problems,
    get_settings,
    may_receive_api_key,
)
from django_button_orders.outbox.adapters import (
    OrderAdapter,
    registered,
    watched_models,
)

IDS = {"unknown": "django_button_orders.E001", "type": "django_button_orders.E002"}
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
ATTRIBUTION = "django_button_orders.middleware.AttributionMiddleware"


def check_button_orders(**kwargs: Any) -> list[CheckMessage]:
    """Run all checks. Those of accounts need settings that can be read."""
    problems: list[CheckMessage] = [
        Error(problem.message, hint=problem.hint or None, id=IDS[problem.kind])
        for problem in find_problems()
    ]
    if not problems:
        for account in account_names():
            problems += check_api_key(account)
            problems += check_base_url(account)
            problems += check_lease(account)
    problems += check_middleware()
    for adapter in registered():
        problems += check_adapter(adapter)
    return problems


def path_of(account: str, key: str) -> str:
    """Return where in the settings a key of an account is set."""
    if account in get_settings().accounts:
        return f"{SETTING}['ACCOUNTS']['{account}']['{key}']"
    return f"{SETTING}['{key}']"


def check_api_key(account: str) -> Iterator[CheckMessage]:
    account_settings = get_settings(account)
    if account_settings.enabled and not account_settings.api_key:
        yield Error(
            f"{path_of(account, 'API_KEY')} is not set.",
            hint="Make a key in Button's dashboard, or set ENABLED to False: "
            "then orders are recorded and wait.",
            id="django_button_orders.E003",
        )


def check_base_url(account: str) -> Iterator[CheckMessage]:
    if may_receive_api_key(get_settings(account).base_url):
        return
    yield Error(
        f"{path_of(account, 'BASE_URL')} must start with 'https://'.",
        hint="The API key is sent with every request. Plain 'http://' is for "
        "this machine, or with DEBUG.",
        id="django_button_orders.E004",
    )


def check_lease(account: str) -> Iterator[CheckMessage]:
    account_settings = get_settings(account)
    margin = LEASE_MARGIN_SECONDS + LEASE_START_SECONDS
    needed = account_settings.deadline + margin
    if account_settings.lease_seconds < needed:
        yield Error(
            f"{SETTING}['LEASE_SECONDS'] must be at least {needed:g}.",
            hint="A call starts only with its DEADLINE and "
            f"{LEASE_MARGIN_SECONDS} seconds of the lease left.",
            id="django_button_orders.E005",
        )


def check_middleware() -> Iterator[CheckMessage]:
    middleware = list(getattr(settings, "MIDDLEWARE", None) or [])
    if ATTRIBUTION not in middleware:
        return
    if SESSIONS not in middleware[: middleware.index(ATTRIBUTION)]:
        yield Error(
            "AttributionMiddleware needs the session of the visitor.",
            hint=f"Put '{SESSIONS}' above '{ATTRIBUTION}' in MIDDLEWARE.",
            id="django_button_orders.E006",
        )


def check_adapter(adapter: OrderAdapter) -> Iterator[CheckMessage]:
    if type(adapter).build is OrderAdapter.build:
        yield Error(
            f"{adapter.name} does not define build(order).",
            hint="It must return an OrderReport.",
            obj=adapter.model,
            id="django_button_orders.E007",
        )
    try:
        if adapter.date_field:
            adapter.model._meta.get_field(adapter.date_field)
    except FieldDoesNotExist:
        yield Error(
            f"{adapter.name}.date_field is '{adapter.date_field}', "
            f"which {adapter.model._meta.label} does not have.",
            obj=adapter.model,
            id="django_button_orders.E008",
        )
    yield from check_watch(adapter)
    if not adapter.date_field:
        yield Warning(
            f"{adapter.name}.date_field is not set.",
            hint="Without it, the commands cannot take --since and --until, and the "
            "task reconcile_orders cannot tell new orders from old ones: it adds none "
            "that were written without a signal. Use 'button_orders_reconcile shop "
            "--fix' for those.",
            obj=adapter.model,
            id="django_button_orders.W001",
        )


def check_watch(adapter: OrderAdapter) -> Iterator[CheckMessage]:
    try:
        watched = list(watched_models(adapter))
    except (LookupError, ValueError) as exc:
        yield Error(
            f"{adapter.name}.watch names a model that does not exist: {exc}",
            obj=adapter.model,
            id="django_button_orders.E009",
        )
        return
    for model, path in watched:
        name = path.partition("__")[0]
        if not hasattr(model, name):
            yield Error(
                f"{adapter.name}.watch follows '{name}', "
                f"which {model._meta.label} does not have.",
                hint="Give the path from the watched model to the order.",
                obj=adapter.model,
                id="django_button_orders.E010",
            )
