"""
The system checks of ``manage.py check``: the settings, the middleware, the adapters.

To add a check, write a function that yields messages, and call it in
``check_button_orders``. Take a new ID: an old one is never used again, because
projects may silence it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import FieldDoesNotExist
from django.db import DatabaseError, connections, router, transaction
from django.db.models import Count

from django_button_orders.conf import (
    DEFAULT_ACCOUNT,
    LEASE_MARGIN_SECONDS,
    LEASE_START_SECONDS,
    SETTING,
    account_names,
    find_problems,
    get_settings,
    is_button,
    may_receive_api_key,
    path_of,
)
from django_button_orders.models import ButtonOrder
from django_button_orders.models.databases import allowed_aliases
from django_button_orders.monitoring.alerts import describe_other_site
from django_button_orders.outbox.adapters import (
    OrderAdapter,
    has_usable_key,
    registered,
    watched_models,
)

IDS = {"unknown": "django_button_orders.E001", "type": "django_button_orders.E002"}
NO_ADAPTER = "django_button_orders.W012"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
ATTRIBUTION = "django_button_orders.middleware.AttributionMiddleware"
# Transactions of SQLite that wait for the present writer before they read anything.
WRITING_MODES = ("IMMEDIATE", "EXCLUSIVE")
# Every path of Button's Order API begins with it.
VERSION_PATH = "/v1"
STAGING = "https://django-button-orders.readthedocs.io/en/latest/howto/staging.html"
# A writer of SQLite that waits for less may be refused while a worker records a batch.
SQLITE_TIMEOUT_SECONDS = 10


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
            problems += check_debug(account)
    problems += check_middleware()
    problems += check_adapters()
    problems += check_sqlite()
    return problems


def check_deployment(**kwargs: Any) -> list[CheckMessage]:
    """Run the checks of ``manage.py check --deploy`` alone."""
    if any(find_problems()):
        return []
    return [error for name in account_names() for error in check_deployed_key(name)]


def lacks_key(account: str) -> bool:
    account_settings = get_settings(account)
    return account_settings.enabled and not account_settings.api_key


def names_key(account: str) -> bool:
    """Return whether the settings have the key of an account, if only an empty one."""
    own = get_settings().accounts.get(account, {})
    return account == DEFAULT_ACCOUNT or "API_KEY" in own


def check_api_key(account: str) -> Iterator[CheckMessage]:
    """
    Find an account without a key.

    Only warn of an empty key, so that a machine without the key can migrate and run
    tests. An account in whose settings the key was forgotten is wrong everywhere.
    """
    if not lacks_key(account):
        return
    if names_key(account):
        yield Warning(**describe_missing_key(account), id="django_button_orders.W010")
    else:
        yield Error(
            f"{SETTING}['ACCOUNTS'][{account!r}] has no API_KEY.",
            hint="Add the API_KEY of this account. No account uses the key of another: "
            "if two share a key, set it for both. To send nothing for this account, "
            "set its ENABLED to False.",
            id="django_button_orders.E012",
        )


def check_deployed_key(account: str) -> Iterator[CheckMessage]:
    if lacks_key(account) and names_key(account):
        yield Error(**describe_missing_key(account), id="django_button_orders.E003")


def describe_missing_key(account: str) -> dict[str, str]:
    return {
        "msg": f"{path_of(account, 'API_KEY')} is not set.",
        "hint": "Orders are recorded but not sent. Set it to a key from Button's "
        "dashboard, or set ENABLED to False.",
    }


def check_base_url(account: str) -> Iterator[CheckMessage]:
    base_url = get_settings(account).base_url
    root = base_url.rstrip("/").removesuffix(VERSION_PATH)
    if root != base_url.rstrip("/"):
        yield Error(
            f"{path_of(account, 'BASE_URL')} ends with {VERSION_PATH}, which the app "
            "adds itself.",
            hint=f"Set it to '{root}'.",
            id="django_button_orders.E013",
        )
    if may_receive_api_key(base_url):
        return
    yield Error(
        f"{path_of(account, 'BASE_URL')} must start with 'https://'.",
        hint="Each request carries the API key. 'http://' is allowed only to this "
        "machine, or if DEBUG is True.",
        id="django_button_orders.E004",
    )


def check_lease(account: str) -> Iterator[CheckMessage]:
    account_settings = get_settings(account)
    margin = LEASE_MARGIN_SECONDS + LEASE_START_SECONDS
    needed = account_settings.deadline + margin
    if account_settings.lease_seconds < needed:
        yield Error(
            f"{SETTING}['LEASE_SECONDS'] must be at least {needed:g}.",
            hint="A call starts only if the lease lasts for its DEADLINE and "
            f"{LEASE_MARGIN_SECONDS} seconds more. Raise LEASE_SECONDS or lower "
            "DEADLINE.",
            id="django_button_orders.E005",
        )


def check_debug(account: str) -> Iterator[CheckMessage]:
    found = get_settings(account)
    is_sent = found.enabled and found.api_key and is_button(found.base_url)
    if settings.DEBUG and is_sent:
        yield Warning(
            f"DEBUG is True, and orders of the account {account!r} go to the real "
            f"Button at {found.base_url}.",
            hint="In a copy of a shop, set ENABLED to False, or set BASE_URL to the "
            "address that 'manage.py button_orders_sandbox' prints. See "
            f"{STAGING}.",
            id="django_button_orders.W021",
        )


def check_sites(
    *, databases: Iterable[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """
    Check for orders of other sites. Django calls it with databases only.

    Before ``migrate`` there are no tables, or older ones.
    """
    problems: list[CheckMessage] = []
    for alias in databases or ():
        with suppress(DatabaseError), transaction.atomic(using=alias):
            problems += check_sites_of(alias)
    return problems


def check_sites_of(alias: str) -> Iterator[CheckMessage]:
    if not router.allow_migrate_model(alias, ButtonOrder):
        return
    rows = ButtonOrder.objects.using(alias).of_other_sites().order_by("site")
    for site, count in rows.values_list("site").annotate(Count("pk")):
        yield Warning(
            describe_other_site(site, count, using=alias),
            hint=f"See {STAGING}.",
            id="django_button_orders.W020",
        )


def check_middleware() -> Iterator[CheckMessage]:
    middleware = list(getattr(settings, "MIDDLEWARE", None) or [])
    if ATTRIBUTION not in middleware:
        return
    if SESSIONS not in middleware[: middleware.index(ATTRIBUTION)]:
        yield Error(
            "AttributionMiddleware needs a session, but SessionMiddleware is not above "
            "it.",
            hint=f"Put '{SESSIONS}' above '{ATTRIBUTION}' in MIDDLEWARE.",
            id="django_button_orders.E006",
        )
    if settings.SESSION_COOKIE_SAMESITE == "Strict":
        yield Warning(
            "SESSION_COOKIE_SAMESITE is 'Strict', so browsers send no session cookie "
            "when a customer follows a partner's link. AttributionMiddleware then "
            "starts a new session, which logs the customer out.",
            hint="Set SESSION_COOKIE_SAMESITE to 'Lax', Django's default.",
            id="django_button_orders.W015",
        )


def check_adapters() -> Iterator[CheckMessage]:
    adapters = registered()
    if not adapters:
        yield Warning(
            "No order model has an adapter, so no order of the shop is reported.",
            hint="Write an adapter in 'button_orders.py' of an installed app, with "
            "@register(...) above the class. If the shop saves Button orders "
            f"itself, add '{NO_ADAPTER}' to SILENCED_SYSTEM_CHECKS.",
            id=NO_ADAPTER,
        )
    for adapter in adapters:
        yield from check_adapter(adapter)


def check_sqlite() -> Iterator[CheckMessage]:
    for alias in allowed_aliases():
        connection: Any = connections[alias]
        if connection.vendor != "sqlite" or connection.is_in_memory_db():
            continue
        options = connection.settings_dict["OPTIONS"]
        is_immediate = str(options.get("transaction_mode")).upper() in WRITING_MODES
        is_patient = options.get("timeout", 0) >= SQLITE_TIMEOUT_SECONDS
        if not (is_immediate and is_patient):
            yield Warning(
                "The shop's saves may fail with 'database is locked' while a worker "
                f"writes to the SQLite database '{alias}'.",
                hint="Add 'transaction_mode': 'IMMEDIATE' and 'timeout': 20 to "
                f"DATABASES['{alias}']['OPTIONS'].",
                id="django_button_orders.W013",
            )


def check_adapter(adapter: OrderAdapter) -> Iterator[CheckMessage]:
    if type(adapter).build is OrderAdapter.build:
        yield Error(
            f"{adapter.name} does not define build(order).",
            hint="Define it, and return an OrderReport.",
            obj=adapter.model,
            id="django_button_orders.E007",
        )
    try:
        if adapter.date_field:
            adapter.model._meta.get_field(adapter.date_field)
    except FieldDoesNotExist:
        yield Error(
            f"{adapter.name}.date_field is '{adapter.date_field}', but "
            f"{adapter.model._meta.label} has no such field.",
            hint="Set date_field to the field with the date of the order, or to ''.",
            obj=adapter.model,
            id="django_button_orders.E008",
        )
    yield from check_watch(adapter)
    if not has_usable_key(adapter.model):
        yield Error(
            f"Orders of {adapter.model._meta.label} cannot be reported: composite and "
            "binary primary keys are not supported.",
            hint="Register a model with another primary key, or save Button orders "
            "yourself.",
            obj=adapter.model,
            id="django_button_orders.E011",
        )
    if not adapter.date_field:
        yield Warning(
            f"{adapter.name}.date_field is not set.",
            hint="Set it to the field with the date of the order. Without it, --since "
            "and --until are errors, and the reconcile task does not report orders "
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
            hint="Write the model as 'app_label.ModelName', such as 'shop.OrderLine'.",
            obj=adapter.model,
            id="django_button_orders.E009",
        )
        return
    for model, path in watched:
        name = path.partition("__")[0]
        if not hasattr(model, name):
            yield Error(
                f"{adapter.name}.watch follows '{name}', but "
                f"{model._meta.label} has no such field.",
                hint="Set the path from the watched model to the order.",
                obj=adapter.model,
                id="django_button_orders.E010",
            )
