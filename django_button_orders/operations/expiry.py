"""
Erase the personal data of orders that have been settled for ``KEEP_PERSONAL_DAYS``.

Pending and failed orders keep theirs: a worker or a person still needs it. Kept tokens
of orders that never got a Button order are deleted. Pruning does this once a day. No
index has the date, so that reads the table once.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator

from django.db.models import Exists, OuterRef, Q, QuerySet

from django_button_orders.clock import monotonic
from django_button_orders.conf import DEFAULT_ACCOUNT, account_names, get_settings
from django_button_orders.models import AttributionToken, ButtonOrder
from django_button_orders.models.clock import from_now
from django_button_orders.models.erasing import erase_row
from django_button_orders.models.keyset import Keyset
from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.printable import get_logger

logger = get_logger(__name__)
Status = ButtonOrder.Status

SETTLED = (Status.REPORTED, Status.CANCELLED, Status.CLOSED, Status.DISMISSED)
DAY_SECONDS = 86400
CHUNK = 200


def find_expired(using: str) -> Iterator[ButtonOrderQuerySet]:
    """
    Yield the orders to erase, for each group of accounts with the same setting.

    Accounts that are no longer in the settings have the default account's.
    """
    groups: defaultdict[int, list[str]] = defaultdict(list)
    for name in account_names():
        days = get_settings(name).keep_personal_days
        if days is not None:
            groups[days].append(name)
    for days, names in groups.items():
        accounts = Q(account__in=names)
        if DEFAULT_ACCOUNT in names:
            accounts = ~Q(account__in=sorted(set(account_names()) - set(names)))
        yield ButtonOrder.objects.using(using).filter(
            accounts,
            status__in=SETTLED,
            erased_at__isnull=True,
            updated_at__lt=from_now(-days * DAY_SECONDS),
        )


def count_expired(using: str) -> int:
    """Count the orders that ``erase_expired`` would erase."""
    return sum(orders.count() for orders in find_expired(using))


def find_expired_tokens(using: str) -> QuerySet[AttributionToken]:
    """
    Return the old tokens of orders without a Button order, such as unpaid ones.

    It is not known which account their orders would have, so the longest setting
    counts.
    """
    tokens = AttributionToken.objects.using(using)
    days = [get_settings(name).keep_personal_days for name in account_names()]
    longest = max((number for number in days if number is not None), default=None)
    if longest is None or None in days:
        return tokens.none()
    rows = ButtonOrder.objects.using(using).filter(
        source_type=OuterRef("source_type"), source_id=OuterRef("source_id")
    )
    return tokens.filter(~Exists(rows), kept_at__lt=from_now(-longest * DAY_SECONDS))


def erase_expired(using: str, *, is_stopped: Callable[[], bool]) -> tuple[int, bool]:
    """
    Erase the expired orders of a database. Return their number, and whether all are.

    Afterwards, delete the expired tokens of orders without a Button order.

    Each order has a transaction of its own. ``is_stopped()`` is asked now and then.
    """
    erased = 0
    for orders in find_expired(using):
        for pks in Keyset(orders).key_pages(CHUNK):
            began = monotonic()
            # An order may have become pending since its key was read.
            erased += sum(erase_row(pk, orders) is not None for pk in pks)
            if is_stopped():
                return erased, False
            # The shop gets as much of the disk's time.
            time.sleep(monotonic() - began)
    tokens = find_expired_tokens(using)
    for pks in Keyset(tokens).key_pages(CHUNK):
        tokens.filter(pk__in=pks).delete()
    if erased:
        logger.info("%s: %d orders had expired and were erased.", using, erased)
    return erased, True
