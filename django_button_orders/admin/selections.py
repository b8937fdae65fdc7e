"""
Which orders somebody has chosen: those that a confirmation has counted.

The page that asks keeps their keys, signed, so that what was counted is what is
done, whatever the filter would match by then.
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

from django_button_orders.admin.display import money
from django_button_orders.admin.pages import in_pages
from django_button_orders.admin.verbs import Verb
from django_button_orders.models import ButtonOrder

VALID_SECONDS = 60 * 60
# What else is in the form, in bytes.
ROOM = 10_000

Status = ButtonOrder.Status
Reason = ButtonOrder.Reason


class Selection:
    """The chosen orders: to which of them a verb applies, and to which not."""

    def __init__(self, orders: Any, verb: Verb) -> None:
        self.verb = verb
        self.pks: list[int] = []
        self.kinds: Counter[tuple[str, str]] = Counter()
        self.totals: Counter[str] = Counter()
        fields = ("pk", "status", "reason", "currency", "total")
        rows = verb.applicable(orders).values_list(*fields, named=True)
        for page in in_pages(rows):
            for row in page:
                self.add(row)
        self.skipped = self.count_others(orders)

    def add(self, row: Any) -> None:
        self.pks.append(row.pk)
        self.kinds[row.status, row.reason] += 1
        if row.total and row.currency:
            self.totals[row.currency] += row.total

    def count_others(self, orders: Any) -> Counter[str]:
        """Return how many orders the verb does not apply to, by status."""
        counts = orders.order_by().values_list("status").annotate(Count("pk"))
        others = Counter(dict(counts))
        for (status, _reason), count in self.kinds.items():
            others[status] -= count
        # Orders go on moving while they are counted.
        return +others

    def describe_kinds(self) -> Iterator[tuple[int, str]]:
        """Yield how many eligible orders there are of each kind, most of all first."""
        labels = {**dict(Status.choices), **dict(Reason.choices)}
        for kind, count in self.kinds.most_common():
            yield count, ": ".join(str(labels.get(part, part)) for part in kind if part)

    def describe_amounts(self) -> list[str]:
        return [
            money(total, currency) for currency, total in sorted(self.totals.items())
        ]


def sign(request: HttpRequest, selection: Selection) -> str | None:
    """Return the keys as a form carries them, or None if that takes too much."""
    keys = [0, *reversed(selection.pks)]
    # Differences are short, and alike: what is signed is compressed first.
    steps = [after - before for before, after in pairwise(keys)]
    salt = salt_for(request, selection.verb)
    signed = signing.dumps(steps, salt=salt, compress=True)
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return signed if most is None or len(signed) < most - ROOM else None


def read(request: HttpRequest, signed: str, verb: Verb) -> list[int]:
    """Return the keys. Raises ``BadSignature`` if they are not what was signed."""
    salt = salt_for(request, verb)
    return list(accumulate(signing.loads(signed, salt=salt, max_age=VALID_SECONDS)))


def salt_for(request: HttpRequest, verb: Verb) -> str:
    return f"django_button_orders.{verb.name}.{request.user.pk}"
