"""
The setting ``BUTTON_ORDERS``: its keys, their defaults, and what each must be.

To add a key, add a field to ``Settings``. ``get_settings(account)`` returns the
values of an account; the system checks print what ``find_problems()`` yields.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from difflib import get_close_matches
from functools import cache
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.signals import setting_changed
from django.core.validators import validate_email

from django_button_orders.report import columns

SETTING = "BUTTON_ORDERS"
DEFAULT_ACCOUNT = "default"
# What the columns for accounts hold.
ACCOUNT_LENGTH = 100
# A call starts only if its DEADLINE and this time are left of the lease.
LEASE_MARGIN_SECONDS = 5
# A lease must be longer than the two by this time, or no call could start.
LEASE_START_SECONDS = 1
DOORBELLS = ("thread", "inline", "none")


def is_number(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def is_positive(value: object) -> bool:
    return is_number(value) and value > 0  # type: ignore[operator]  # a number


def is_positive_integer(value: object) -> bool:
    return isinstance(value, int) and is_positive(value)


def is_count(value: object) -> bool:
    return isinstance(value, int) and is_number(value) and value >= 0


def is_pair(value: object) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(map(is_positive, value))
    )


def is_delay(value: object) -> bool:
    return is_number(value) and value >= 0  # type: ignore[operator]  # a number


def is_window(value: object) -> bool:
    # The end of the window must be a date that every database can store.
    return is_positive(value) and value <= 36500  # type: ignore[operator]  # a number


def is_schedule(value: object) -> bool:
    return isinstance(value, tuple | list) and all(map(is_delay, value))


def is_patterns(value: object) -> bool:
    return isinstance(value, tuple | list) and all(
        # Another text would match no address. It may be a misplaced API key.
        isinstance(pattern, str) and ("@" in pattern or "*" in pattern)
        for pattern in value
    )


def is_addresses(value: object) -> bool:
    return isinstance(value, tuple | list) and all(map(is_address, value))


def is_address(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        validate_email(value)
    except ValidationError:
        return False
    return True


def is_api_key(value: object) -> bool:
    # A colon would end the user name of Basic authentication, and a line break would
    # end the header. ``os.environ.get()`` returns None on a machine without the key.
    return value is None or (
        isinstance(value, str)
        and all("!" <= character <= "~" and character != ":" for character in value)
    )


def is_site(value: object) -> bool:
    # The column of a row that has it takes no more.
    return isinstance(value, str) and len(value) <= 100 and value.isprintable()


def is_header(value: object) -> bool:
    return value is None or (
        isinstance(value, str) and re.fullmatch(r"[!-~]+", value) is not None
    )


# A user name, a query or a fragment is refused, because no call would use it.
BASE_URL = re.compile(
    r"[a-z]+://([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])"
    r"(:[0-9]+)?(/[A-Za-z0-9._~%/-]*)?"
)


def is_base_url(value: object) -> bool:
    if not isinstance(value, str) or not BASE_URL.fullmatch(value):
        return False
    try:
        return urlsplit(value).port != 0
    except ValueError:
        return False


def is_accounts(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        is_account(name) and isinstance(values, Mapping)
        for name, values in value.items()
    )


def is_account(name: object) -> bool:
    """Return whether a name fits the columns for accounts, and one line of a log."""
    return (
        isinstance(name, str) and 0 < len(name) <= ACCOUNT_LENGTH and name.isprintable()
    )


def setting(
    default: Any, accepts: Callable[[object], bool], must: str, **options: Any
) -> Any:
    """Return a field with the values that it accepts, and the rule in words."""
    return field(
        default=default, metadata={"accepts": accepts, "must": must}, **options
    )


def number(default: float) -> Any:
    return setting(default, is_positive, "be a number above 0")


def integer(default: int) -> Any:
    return setting(default, is_positive_integer, "be an integer above 0")


def boolean(default: bool) -> Any:
    return setting(default, lambda value: isinstance(value, bool), "be True or False")


def text(default: str | None) -> Any:
    return setting(
        default,
        lambda value: value is None or (isinstance(value, str) and value != ""),
        "be None or a string that is not empty",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The keys of ``BUTTON_ORDERS``, in lower case; docs/reference explains them."""

    api_key: str = setting(
        "",
        is_api_key,
        "be a string of ASCII characters, without spaces, colons or line breaks",
        repr=False,
    )
    enabled: bool = boolean(True)
    base_url: str = setting(
        "https://api.usebutton.com",
        is_base_url,
        "be a URL such as 'https://api.usebutton.com', without a user name, query or "
        "fragment",
    )
    api_version: str | None = setting(
        None, is_header, "be None or a date such as 2018-02-13"
    )
    timeout: tuple[float, float] = setting(
        (3.05, 10), is_pair, "be a pair of numbers above 0: connect and read seconds"
    )
    deadline: float = number(30)
    max_response_bytes: int = integer(65536)
    retry_schedule: tuple[float, ...] = setting(
        (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 43200, 43200, 86400, 86400),
        is_schedule,
        "be a tuple of numbers of seconds, each 0 or more",
    )
    retry_after_max: float = number(86400)
    lease_seconds: float = number(120)
    doorbell: str = setting(
        "thread",
        lambda value: value in DOORBELLS,
        f"be one of {', '.join(map(repr, DOORBELLS))}",
    )
    batch_size: int = integer(100)
    concurrency: int = integer(16)
    queue: str | None = text(None)
    site: str = setting("", is_site, "be a string of at most 100 printable characters")
    rate_limit: float | None = setting(
        None,
        lambda value: value is None or is_positive(value),
        "be None or a number above 0",
    )
    report_without_token: bool = boolean(True)
    total_as_decimal: bool = boolean(False)
    keep_bodies_days: int = integer(30)
    keep_submissions_days: int = integer(365)
    keep_personal_days: int | None = setting(
        None,
        lambda value: value is None or is_positive_integer(value),
        "be None or an integer above 0",
    )
    finalization_days: float | None = setting(
        None,
        lambda value: value is None or is_window(value),
        "be None or a number of days above 0, at most 36500",
    )
    first_report_delay: float = setting(0, is_delay, "be a number, 0 or more")
    dummy_emails: tuple[str, ...] = setting(
        (), is_patterns, "be a tuple of email patterns such as '*@deleted.shop.com'"
    )
    alerts: tuple[str, ...] = setting(
        (),
        is_addresses,
        "be a list of e-mail addresses, also for one: ['ops@shop.com']",
        repr=False,
    )
    reconcile_days: int = setting(3, is_count, "be an integer, 0 or more")
    batch_file_brand: str | None = setting(
        None,
        lambda value: value is None or columns.is_brand(value),
        "be None or a string of letters, digits, '-' and '_'",
        # Somebody may have put the API key here by mistake.
        repr=False,
    )
    batch_file_columns: columns.Columns = field(
        default_factory=dict,
        metadata={"accepts": columns.is_columns, "must": columns.MUST},
    )
    # Not in the representation, because it has the API keys of other accounts.
    accounts: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict,
        metadata={
            "accepts": is_accounts,
            "must": "be a dict with a dict for each account name. A name has 1 to "
            f"{ACCOUNT_LENGTH} printable characters",
        },
        repr=False,
    )


FIELDS: Mapping[str, Field[Any]] = {
    item.name.upper(): item for item in fields(Settings)
}
# These cannot differ between accounts, because one process works for all of them.
PROCESS_KEYS = {
    "BATCH_SIZE",
    "CONCURRENCY",
    "DOORBELL",
    "QUEUE",
    "LEASE_SECONDS",
    "SITE",
    "RECONCILE_DAYS",
    "FIRST_REPORT_DELAY",
    "DUMMY_EMAILS",
    "ALERTS",
}


class Problem(NamedTuple):
    """A mistake in the setting. ``kind`` is "unknown" (a key) or "type" (a value)."""

    kind: str
    message: str
    hint: str = ""


def raw_settings() -> Any:
    return getattr(settings, SETTING, {})


def find_problems() -> Iterator[Problem]:
    """Yield the mistakes because of which the setting cannot be read."""
    raw = raw_settings()
    if not isinstance(raw, Mapping):
        yield Problem("type", f"{SETTING} must be a dict.")
        return
    yield from problems_of(raw, SETTING, known=set(FIELDS))
    accounts = raw.get("ACCOUNTS", {})
    if is_accounts(accounts):
        for name, values in accounts.items():
            path = f"{SETTING}['ACCOUNTS'][{name!r}]"
            known = set(FIELDS) - PROCESS_KEYS - {"ACCOUNTS"}
            yield from problems_of(values, path, known=known)


def problems_of(
    values: Mapping[str, Any], path: str, *, known: set[str]
) -> Iterator[Problem]:
    for key in sorted(map(str, values.keys() - known)):
        if key in FIELDS:
            message = f"{path}['{key}'] cannot be set for one account."
            yield Problem(
                "unknown", message, f"Set {SETTING}['{key}'] for all accounts."
            )
        else:
            hint = f"{guess(key, known)}Known keys: {', '.join(sorted(known))}."
            yield Problem("unknown", f"{path} has an unknown key '{key}'.", hint)
    for key in values.keys() & known:
        rule = FIELDS[key].metadata
        if not rule["accepts"](values[key]):
            # The message leaves out the value, which may be a misplaced API key.
            yield Problem("type", f"{path}['{key}'] must {rule['must']}.")


def guess(key: str, known: set[str]) -> str:
    """Return a question that names the known key most like a wrong one, or ""."""
    for name in get_close_matches(key.upper(), known, n=1):
        return f"Did you mean '{name}'? "
    return ""


@cache
def get_settings(account: str = DEFAULT_ACCOUNT) -> Settings:
    """
    Return the settings of an account. They are read once, and cached.

    Raises ``ImproperlyConfigured`` if the setting has a mistake, or ``ACCOUNTS`` does
    not have the account.
    """
    for problem in find_problems():
        raise ImproperlyConfigured(problem.message)
    found = read_settings(account)
    if found is None:
        # Raised here, where no local variable has the API key: error trackers send
        # local variables, too.
        raise ImproperlyConfigured(describe_unknown_account(account))
    return found


def read_settings(account: str) -> Settings | None:
    """Return the settings of an account, or None if there is no such account."""
    values = as_fields(raw_settings())
    settings_ = Settings(**values)
    own = as_fields(settings_.accounts.get(account, {}))
    if account == DEFAULT_ACCOUNT:
        return replace(settings_, **own)
    if account not in settings_.accounts:
        return None
    # The key is not inherited: an account without one must not report its orders to
    # the organisation of another.
    return replace(settings_, **{"api_key": "", **own})


def describe_unknown_account(account: str) -> str:
    """Return the error about an account that the setting does not have."""
    known = ", ".join(account_names())
    return f"{SETTING}['ACCOUNTS'] has no account {account!r}. Known accounts: {known}."


def path_of(account: str, key: str) -> str:
    """Return where in the settings a key of an account is set, for a message."""
    if account in get_settings().accounts:
        return f"{SETTING}['ACCOUNTS'][{account!r}]['{key}']"
    return f"{SETTING}['{key}']"


def as_fields(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return keys of the setting as fields of ``Settings``, with lists as tuples."""
    values = {
        key.lower(): tuple(value) if isinstance(value, list) else value
        for key, value in raw.items()
    }
    if "api_key" in values:
        values["api_key"] = values["api_key"] or ""
    return values


def first_report_delay() -> float:
    """Return ``FIRST_REPORT_DELAY``, or 0 if the settings cannot be read."""
    try:
        return get_settings().first_report_delay
    except ImproperlyConfigured:
        # A shop's save asks for it, and must not fail for this.
        return 0


@cache
def account_names() -> tuple[str, ...]:
    """Return the names of all accounts, the default one first."""
    others = [name for name in get_settings().accounts if name != DEFAULT_ACCOUNT]
    return (DEFAULT_ACCOUNT, *others)


def this_site() -> str:
    """Return ``SITE``, or "" if the settings cannot be read: nothing is sent then."""
    try:
        return get_settings().site
    except ImproperlyConfigured:
        return ""


def alert_addresses() -> tuple[str, ...]:
    """Return ``ALERTS``, or none if the settings cannot be read: status says so."""
    try:
        return get_settings().alerts
    except ImproperlyConfigured:
        return ()


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_button(url: str) -> bool:
    """Return whether a URL is of the real Button."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    return host == "usebutton.com" or host.endswith(".usebutton.com")


@cache
def may_receive_api_key(base_url: str) -> bool:
    """Return whether a URL is HTTPS, or HTTP to this machine or with ``DEBUG``."""
    is_plain = base_url.startswith("http://")
    is_allowed = is_plain and (is_loopback(base_url) or settings.DEBUG)
    return base_url.startswith("https://") or is_allowed


def clear_settings_cache(*, setting: str, **kwargs: object) -> None:
    if setting == SETTING:
        get_settings.cache_clear()
        account_names.cache_clear()
    if setting == "DEBUG":
        may_receive_api_key.cache_clear()


setting_changed.connect(
    clear_settings_cache, dispatch_uid=f"{__name__}.clear_settings_cache"
)
