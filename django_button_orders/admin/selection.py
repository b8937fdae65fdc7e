"""
The orders that a user has selected for an action, as its confirmation counted them.

The confirmation carries their keys in its form, signed. So the action runs on those
orders, even if the filter of the list matches others by then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Any

from django.conf import settings
from django.core import signing
from django.db.models import Count
from django.http import HttpRequest

from django_button_orders.admin.formatting import format_money
from django_button_orders.admin.verbs import Verb
from django_button_orders.models import ButtonOrder
from django_button_orders.models.keyset import Keyset

VALID_SECONDS = 60 * 60
# Orders in memory at a time.
PAGE_SIZE = 2000
# Bytes of a form's DATA_UPLOAD_MAX_MEMORY_SIZE for what it has beside the keys.
RESERVED_BYTES = 10_000

Status = ButtonOrder.Status
Reason = ButtonOrder.Reason


class Selection:
    """
    Count the selected orders: those that a verb applies to, and those it skips.

    ``pks`` has the keys of the former, the newest first. ``skipped`` has the number
    of the latter by status.
    """

    def __init__(self, orders: Any, verb: Verb) -> None:
        self.verb = verb
        self.pks: list[int] = []
        self.kinds: Counter[tuple[str, str]] = Counter()
        self.totals: Counter[str] = Counter()
        fields = ("pk", "status", "reason", "currency", "total")
        rows = verb.applicable(orders).values_list(*fields, named=True)
        for page in Keyset(rows, ("-pk",)).pages(PAGE_SIZE):
            for row in page:
                self.add(row)
        self.skipped = self.count_skipped(orders)

    def add(self, row: Any) -> None:
        self.pks.append(row.pk)
        self.kinds[row.status, row.reason] += 1
        if row.total and row.currency:
            self.totals[row.currency] += row.total

    def count_skipped(self, orders: Any) -> Counter[str]:
        """Return how many orders the verb does not apply to, by status."""
        counts = orders.order_by().values_list("status").annotate(Count("pk"))
        skipped = Counter(dict(counts))
        for (status, _reason), count in self.kinds.items():
            skipped[status] -= count
        # Orders may have changed between the two counts; "+" drops negative numbers.
        return +skipped

    def labelled_kinds(self) -> Iterator[tuple[int, str]]:
        """Yield the number of orders of each status and reason, the largest first."""
        labels = {**dict(Status.choices), **dict(Reason.choices)}
        for kind, count in self.kinds.most_common():
            yield count, ": ".join(str(labels.get(part, part)) for part in kind if part)

    def formatted_totals(self) -> list[str]:
        """Return what the orders are worth in each currency."""
        return [
            format_money(total, currency)
            for currency, total in sorted(self.totals.items())
        ]


def sign_keys(request: HttpRequest, selection: Selection) -> str | None:
    """Return a selection's keys, signed, or None if a form cannot carry so many."""
    keys = [0, *reversed(selection.pks)]
    # The steps between keys are small and alike, so they compress well.
    steps = [after - before for before, after in pairwise(keys)]
    salt = signing_salt(request, selection.verb)
    signed = signing.dumps(steps, salt=salt, compress=True)
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    fits = limit is None or len(signed) < limit - RESERVED_BYTES
    return signed if fits else None


def read_keys(request: HttpRequest, signed: str, verb: Verb) -> list[int]:
    """
    Return the keys that were signed for this user and verb.

    Raise ``BadSignature`` if the text was not signed for them, or
    ``SignatureExpired`` after ``VALID_SECONDS``.
    """
    salt = signing_salt(request, verb)
    return list(accumulate(signing.loads(signed, salt=salt, max_age=VALID_SECONDS)))


def signing_salt(request: HttpRequest, verb: Verb) -> str:
    """Return a salt of the user and the verb, so that no others accept the keys."""
    return f"django_button_orders.{verb.name}.{request.user.pk}"
