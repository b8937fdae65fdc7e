"""
The causes of the alerts that ``mail`` sends to the addresses of ``ALERTS``.

Each has a function that yields a line for each account that it concerns. A line has no
personal data, no error of the shop's code, and at most three order ids.

To add a cause, write such a function, add it to ``CAUSES``, and describe it in
``docs/howto/alerts.rst``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from math import sqrt
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Max, Min, Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_button_orders.conf import (
    account_names,
    first_report_delay,
    get_settings,
)
from django_button_orders.models import ButtonOrder, PausedAccount, as_aware
from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.models.states import of_this_site
from django_button_orders.printable import printable

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Status = ButtonOrder.Status
Reason = ButtonOrder.Reason

DAY = timedelta(days=1)
# An order that came within ``LATELY`` should be reported within this time.
UNREPORTED_SECONDS = 3600
LATELY = timedelta(days=3)
# The share of orders with a token is compared with that of the days before.
WEEK = timedelta(days=7)
# With fewer orders in the week, their share is too uncertain.
MIN_WEEK_ORDERS = 20
# A share has collapsed if it is below this part of the share in the week before.
COLLAPSED = 0.5
# Chance rarely explains a difference of more standard deviations than this.
CHANCE = 3
MAX_EXAMPLES = 3
# A change that no attempt has failed to send may take this long.
FRESH = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class Look:
    """
    A look for causes in one database, at its time ``now``.

    ``last`` is the time of the last message about the cause, or None. ``accounts`` are
    the accounts that report: disabled ones cause no message.
    """

    using: str
    now: datetime
    last: datetime | None
    accounts: list[str]

    @property
    def rows(self) -> ButtonOrderQuerySet:
        """The Button orders that this installation reports."""
        rows = ButtonOrder.objects.using(self.using)
        return rows.filter(of_this_site(), account__in=self.accounts)

    @property
    def paused(self) -> dict[str, PausedAccount]:
        """The paused accounts by name."""
        paused = PausedAccount.objects.using(self.using).order_by("account")
        return {item.account: item for item in paused if item.account in self.accounts}


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A cause: its code, a title for the subject, what to do, and how to find it."""

    code: str
    title: _StrPromise
    todo: _StrPromise
    find: Callable[[Look], Iterator[str]]


def reporting_accounts() -> list[str]:
    """Return the accounts for which ``ENABLED`` is true."""
    return [name for name in account_names() if get_settings(name).enabled]


def find_unreported(look: Look) -> Iterator[str]:
    """
    Find accounts to which orders came, none of which is reported after an hour.

    One report, update or cancellation that Button has accepted since then is enough.
    """
    seconds = UNREPORTED_SECONDS + first_report_delay()
    came = look.rows.filter(
        status__in=[Status.PENDING, Status.FAILED],
        reported_revision__isnull=True,
        created_at__gt=look.now - LATELY,
        created_at__lte=look.now - timedelta(seconds=seconds),
    ).exclude(account__in=look.paused)
    counted = came.values("account").annotate(
        orders=Count("pk"), since=Max("created_at")
    )
    for found in counted.order_by("account"):
        account, count = found["account"], found["orders"]
        since = as_aware(found["since"])
        rows = look.rows.filter(account=account)
        # The newest come first, because they are found first.
        reported = rows.filter(reported_at__gte=since).order_by("-pk").values("pk")
        if reported.first() is None:
            text = ngettext(
                "Account %(account)s: %(count)d order came more than an hour ago and "
                "is not reported. None was reported since %(time)s: %(orders)s.",
                "Account %(account)s: %(count)d orders came more than an hour ago and "
                "are not reported. None was reported since %(time)s: %(orders)s.",
                count,
            )
            orders = name_orders(came.filter(account=account))
            yield fill(text, account, count=count, time=since, orders=orders)


def find_collapsed(look: Look) -> Iterator[str]:
    """Find accounts whose share of orders with a token has collapsed since a week."""
    day, week = look.now - DAY, look.now - DAY - WEEK
    has_token, is_of_day = Q(btn_ref__gt=""), Q(purchase_date__gt=day)
    counted = (
        look.rows.filter(
            purchase_date__gt=week, purchase_date__lte=look.now, erased_at__isnull=True
        )
        .values("account")
        .annotate(
            day=Count("pk", filter=is_of_day),
            day_tokens=Count("pk", filter=is_of_day & has_token),
            week=Count("pk", filter=~is_of_day),
            week_tokens=Count("pk", filter=~is_of_day & has_token),
        )
    )
    for found in counted.order_by("account"):
        names: dict[str, Any] = dict(found)
        account = names.pop("account")
        if has_collapsed(**names):
            text = _(
                "Account %(account)s: %(day_tokens)d of the %(day)d orders of the last "
                "24 hours have an attribution token. In the seven days before, "
                "%(week_tokens)d of %(week)d had one."
            )
            yield fill(text, account, **names)


def has_collapsed(*, day: int, day_tokens: int, week: int, week_tokens: int) -> bool:
    """
    Return whether too few orders of a day have a token, compared with its week.

    There are too few if less than half of the expected number have one, and chance does
    not explain that. The expected number follows from the share of the week. Its square
    root is the standard deviation, because orders with a token are rare events. So
    nothing is found if fewer than ten are expected.
    """
    if week < MIN_WEEK_ORDERS:
        return False
    expected = day * week_tokens / week
    missing = expected - day_tokens
    return day_tokens < COLLAPSED * expected and missing > CHANCE * sqrt(expected)


def find_paused(look: Look) -> Iterator[str]:
    """Find the accounts that are paused."""
    for account, paused in look.paused.items():
        text = _("Account %(account)s: Button refused its API key. Paused on %(time)s.")
        yield fill(text, account, time=paused.paused_at)


def find_closing(look: Look) -> Iterator[str]:
    """
    Find orders whose change window closes within a day, with a change unsent.

    A fresh change is left to the next sweep, or else each return in the last day of a
    window would cause a message.
    """
    is_fresh = Q(status=Status.PENDING, reason="", next_attempt_at__gt=look.now - FRESH)
    closing = look.rows.closing_unsent().exclude(is_fresh)
    counted = closing.values("account").annotate(
        orders=Count("pk"), first=Min("finalizes_at")
    )
    for found in counted.order_by("account"):
        account, count = found["account"], found["orders"]
        text = ngettext(
            "Account %(account)s: the change of %(count)d order is not sent. Button "
            "accepts it until %(time)s: %(orders)s.",
            "Account %(account)s: the changes of %(count)d orders are not sent. Button "
            "accepts the first until %(time)s: %(orders)s.",
            count,
        )
        orders = name_orders(closing.filter(account=account), by="finalizes_at")
        yield fill(text, account, count=count, time=found["first"], orders=orders)


def find_new_failures(look: Look) -> Iterator[str]:
    """
    Find kinds of failures that no failed order had at the last message.

    A kind is a reason and an HTTP status. It is new if all of its failed orders have
    failed since the last message, or in the last day if there was none.
    """
    kinds = ("account", "reason", "last_status_code")
    failed = look.rows.failed()
    counted = (
        failed.values(*kinds)
        .annotate(orders=Count("pk"), first=Min("updated_at"))
        .filter(first__gt=look.last or look.now - DAY)
    )
    for found in counted.order_by(*kinds):
        kind = {name: found[name] for name in kinds}
        text = ngettext(
            "Account %(account)s: %(count)d order failed. %(reason)s%(answer)s: "
            "%(orders)s.",
            "Account %(account)s: %(count)d orders failed. %(reason)s%(answer)s: "
            "%(orders)s.",
            found["orders"],
        )
        yield fill(
            text,
            kind["account"],
            count=found["orders"],
            reason=describe_reason(kind["reason"]),
            answer=describe_answer(kind["last_status_code"]),
            orders=name_orders(failed.filter(**kind)),
        )


def describe_reason(reason: str) -> str:
    label = Reason(reason).label if reason in Reason.values else reason
    return f"{label} ({reason})"


def describe_answer(status_code: int | None) -> str:
    return "" if status_code is None else f", HTTP {status_code}"


def name_orders(rows: ButtonOrderQuerySet, by: str = "-pk") -> str:
    """Return the IDs of up to three orders for a message, the newest first."""
    ids = list(rows.order_by(by).values_list("order_id", flat=True)[: MAX_EXAMPLES + 1])
    names = [printable(order_id) for order_id in ids[:MAX_EXAMPLES]]
    return ", ".join([*names, "…"] if len(ids) > MAX_EXAMPLES else names)


def fill(text: str, account: str, **names: Any) -> str:
    """Fill in a text. A date becomes a text in UTC."""
    for name, value in names.items():
        if isinstance(value, datetime):
            names[name] = describe_time(value)
    return text % {"account": printable(account), **names}


def describe_time(moment: datetime) -> str:
    return f"{as_aware(moment).astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


CAUSES = (
    Cause(
        code="nothing_reported",
        title=gettext_lazy("Orders came, and none is reported"),
        todo=gettext_lazy(
            "Run 'button_orders_status --ping', which checks the key and the "
            "connection. Then open one of these Button orders in the admin: its page "
            "shows the last error and the next step."
        ),
        find=find_unreported,
    ),
    Cause(
        code="tokens_collapsed",
        title=gettext_lazy("Fewer orders have an attribution token"),
        todo=gettext_lazy(
            "Follow a Button link to your shop and place a test order. If its Button "
            "order has no token, check what changed lately: the landing page, "
            "redirects, the consent banner, caches, AttributionMiddleware and build() "
            "of your adapter."
        ),
        find=find_collapsed,
    ),
    Cause(
        code="account_paused",
        title=gettext_lazy("An account is paused"),
        todo=gettext_lazy(
            "Correct API_KEY and restart the workers. Then resume the account in the "
            "admin, under paused accounts. Its orders wait, and none of them is lost."
        ),
        find=find_paused,
    ),
    Cause(
        code="closing_unsent",
        title=gettext_lazy("A change is not sent, and its window closes"),
        todo=gettext_lazy(
            "Open these Button orders in the admin: each page shows the last error and "
            "the next step. After the window, Button keeps the older amount."
        ),
        find=find_closing,
    ),
    Cause(
        code="new_failure",
        title=gettext_lazy("Orders failed for a new reason"),
        todo=gettext_lazy(
            "Open one of these Button orders in the admin: its page shows the error "
            "and the next step. After the correction, retry them there or with "
            "'button_orders_retry --reason REASON'."
        ),
        find=find_new_failures,
    ),
)
