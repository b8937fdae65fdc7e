"""Count the orders of one database by status, reason and currency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, Q, Sum

from django_button_orders.conf import this_site
from django_button_orders.models import ButtonOrder, as_aware
from django_button_orders.models.states import STATES, of_this_site

Status = ButtonOrder.Status
# Most orders have another status. Those are counted, but not added up.
UNSETTLED = (Status.PENDING, Status.FAILED)


@dataclass(frozen=True, kw_only=True)
class Group:
    """
    Orders of one status, reason, currency and site. ``total`` is in minor units.

    Pending orders of another site are in none of the states but ``in_flight``.
    """

    status: str
    orders: int
    reason: str = ""
    site: str = ""
    currency: str | None = None
    total: int = 0
    due: int = 0
    waiting: int = 0
    in_flight: int = 0
    stuck: int = 0


@dataclass(frozen=True, kw_only=True)
class Amount:
    """
    What Button does not know of orders of one status, in minor units.

    It is the total of pending and failed orders, and the late returns of closed ones.
    The currency is None if the amount is not known.
    """

    status: str
    currency: str | None
    total: int
    orders: int


@dataclass(frozen=True)
class Closing:
    """The orders whose change window closes within a day, with a change unsent."""

    orders: int = 0
    # When the first window closes, which may be past.
    first: datetime | None = None


@dataclass(frozen=True)
class Orders:
    """The counted orders of one database."""

    groups: list[Group]
    # See count_late_tokens().
    late_tokens: int = 0
    late_returns: list[Amount] = field(default_factory=list)
    closing: Closing = Closing()

    @property
    def total(self) -> int:
        return sum(group.orders for group in self.groups)

    @property
    def statuses(self) -> dict[str, int]:
        counts: Counter[str] = Counter(dict.fromkeys(Status.values, 0))
        for group in self.groups:
            counts[group.status] += group.orders
        return dict(counts)

    @property
    def states(self) -> dict[str, int]:
        return {
            state: sum(getattr(group, state) for group in self.groups)
            for state in STATES
        }

    @property
    def other_sites(self) -> dict[str, int]:
        """Return the numbers of pending orders that other sites report."""
        counts: Counter[str] = Counter()
        for group in self.groups:
            if group.status == Status.PENDING and group.site not in ("", this_site()):
                counts[group.site] += group.orders
        return dict(sorted(counts.items()))

    def reasons(self, status: str) -> dict[str, int]:
        """Return the reasons of a status, the most frequent first."""
        counts: Counter[str] = Counter()
        for group in self.groups:
            if group.status == status and group.reason:
                counts[group.reason] += group.orders
        return dict(counts.most_common())

    def amounts(self, status: str) -> list[Amount]:
        """Return the amounts of a status by currency, an unknown currency last."""
        by_currency: dict[str, list[Group]] = {}
        for group in self.groups:
            if group.status == status:
                by_currency.setdefault(group.currency or "", []).append(group)
        ordered = sorted(by_currency.items(), key=lambda item: (not item[0], item[0]))
        return [
            Amount(
                status=status,
                currency=currency or None,
                total=sum(group.total for group in groups),
                orders=sum(group.orders for group in groups),
            )
            for currency, groups in ordered
        ]


def count_orders(using: str) -> Orders:
    return Orders([*count_settled(using), *count_unsettled(using)])


def count_late_tokens(using: str) -> int:
    """Count the orders that were reported without the token that they have now."""
    late = ButtonOrder.objects.using(using).filter(has_late_token=True)
    return int(late.aggregate(orders=Count("pk"))["orders"])


def count_late_returns(using: str) -> list[Amount]:
    """
    Return the money of returns that came after the change window, by currency.

    The last has no currency: the closed orders of which nobody knows what Button holds.
    """
    is_return = Q(late_amount__gt=0)
    closed: Any = ButtonOrder.objects.using(using).closed().values("currency")
    counted = closed.annotate(
        orders=Count("pk", filter=is_return),
        total=Sum("late_amount", filter=is_return),
        unknown=Count("pk", filter=Q(late_amount__isnull=True)),
    ).order_by()
    groups = sorted(counted, key=lambda group: group["currency"] or "")
    amounts = [
        Amount(
            status=Status.CLOSED.value,
            currency=group["currency"] or None,
            total=int(group["total"]),
            orders=group["orders"],
        )
        for group in groups
        if group["orders"]
    ]
    if unknown := sum(group["unknown"] for group in groups):
        status = Status.CLOSED.value
        amounts.append(Amount(status=status, currency=None, total=0, orders=unknown))
    return amounts


def count_closing(using: str) -> Closing:
    """Count the orders whose change window closes with a change unsent."""
    unsent: Any = ButtonOrder.objects.using(using).closing_unsent()
    found = unsent.aggregate(orders=Count("pk"), first=Min("finalizes_at"))
    first = None if found["first"] is None else as_aware(found["first"])
    return Closing(found["orders"], first)


def find_example(using: str, *, status: str, reason: str) -> ButtonOrder | None:
    """Return the newest order of a status that has this reason, or None."""
    rows = ButtonOrder.objects.using(using).filter(status=status, reason=reason)
    return rows.only("order_id").order_by("-pk").first()


def count_settled(using: str) -> Iterator[Group]:
    settled = ButtonOrder.objects.using(using).exclude(status__in=UNSETTLED)
    counted = settled.values("status").annotate(orders=Count("*")).order_by()
    return (Group(**values) for values in counted)


def count_unsettled(using: str) -> Iterator[Group]:
    is_pending = Q(status=Status.PENDING)
    states: Any = {
        state: Count("pk", filter=is_pending & condition)
        if state == "in_flight"
        else Count("pk", filter=is_pending & of_this_site() & condition)
        for state, condition in STATES.items()
    }
    counted: Any = (
        ButtonOrder.objects.using(using)
        .filter(status__in=UNSETTLED)
        .values("status", "reason", "currency", "site")
        .annotate(orders=Count("*"), sum=Sum("total"), **states)
        .order_by()
    )
    for values in counted:
        total = values.pop("sum")
        yield Group(total=int(total or 0), **values)
