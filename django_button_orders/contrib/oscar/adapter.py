"""Describe the orders of django-oscar to the app."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from fractions import Fraction
from math import floor
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Exists, Model, OuterRef, Prefetch, QuerySet
from django.utils.timezone import is_naive, make_aware

from django_button_orders.contrib.oscar.categories import (
    CategoriesWithPath,
    category_of,
)
from django_button_orders.contrib.oscar.returns import Returned, find_returned
from django_button_orders.outbox.adapters import OrderAdapter
from django_button_orders.report.lines import spread
from django_button_orders.report.money import exponent
from django_button_orders.report.objects import Customer, LineItem, OrderReport
from django_button_orders.report.validation import has_email

# The attributes that list names of the shop.
NAMES = (
    "reportable_statuses",
    "cancelled_statuses",
    "returned_statuses",
    "cancelled_line_statuses",
    "return_events",
    "refund_events",
)


class OscarOrderAdapter(OrderAdapter):
    """
    Describe the orders of django-oscar 4 to the app. Subclass it, and ``register`` it.

    The total is the sum of the lines' ``line_price_excl_tax``: after offers and
    vouchers, and without tax, shipping and surcharges. Cancelled, returned and refunded
    goods are subtracted.

    Oscar leaves the names of statuses and events to the shop. If yours differ from the
    defaults, set the attributes. Letter case does not matter. Events are found by their
    type's name or code.
    """

    date_field = "date_placed"
    watch = {
        "order.Line": "order",
        "order.Surcharge": "order",
        "order.PaymentEvent": "order",
        "order.PaymentEventQuantity": "event__order",
        "order.ShippingEvent": "order",
        "order.ShippingEventQuantity": "event__order",
    }

    #: The statuses in which Button should know an order, or None for all. An order that
    #: Button knows stays reported in any status.
    reportable_statuses: ClassVar[Collection[str] | None] = None
    #: The statuses of a cancelled order. Button cannot undo a cancellation.
    cancelled_statuses: ClassVar[Collection[str]] = ("Cancelled", "Canceled")
    #: The statuses of an order of which everything came back. Its total is 0.
    returned_statuses: ClassVar[Collection[str]] = ("Returned", "Refunded")
    #: The statuses of a line that came back, or was cancelled, as a whole.
    cancelled_line_statuses: ClassVar[Collection[str]] = (
        "Cancelled",
        "Canceled",
        "Returned",
        "Refunded",
    )
    #: The types of shipping events by which units come back, or are never sent.
    return_events: ClassVar[Collection[str]] = (
        "Returned",
        "Return",
        "Cancelled",
        "Canceled",
    )
    #: The types of payment events that refund goods, or grant goodwill. Give refunds of
    #: shipping a type that is not listed here.
    refund_events: ClassVar[Collection[str]] = ("Refunded", "Refund", "Partial refund")
    #: Whether an order is cancelled at Button once nothing of it is left. By default,
    #: its total of 0 is reported, because Button cannot undo a cancellation.
    cancel_when_all_returned: ClassVar[bool] = False

    def __init__(self, model: type[Model]) -> None:
        super().__init__(model)
        for name in NAMES:
            if isinstance(getattr(self, name), str):
                raise ImproperlyConfigured(
                    f"{self.name}.{name} must be a list of names, not a text."
                )

    def get_order_id(self, order: Any) -> str:
        # It is an integer until the order is read from the database.
        return str(order.number)

    def is_reportable(self, order: Any) -> bool:
        statuses = self.reportable_statuses
        return statuses is None or is_among(statuses, order.status)

    def is_cancelled(self, order: Any) -> bool:
        if is_among(self.cancelled_statuses, order.status):
            return True
        return self.cancel_when_all_returned and self.is_all_returned(order)

    def get_btn_ref(self, order: Any) -> str:
        """Return the field ``btn_ref`` of a forked order, or the token that is kept."""
        return getattr(order, "btn_ref", "") or super().get_btn_ref(order)

    def build(self, order: Any) -> OrderReport:
        line_items = self.get_line_items(order)
        return OrderReport(
            order_id=self.get_order_id(order),
            total=sum(item.total or 0 for item in line_items),
            currency=order.currency,
            purchase_date=as_moment(order.date_placed),
            btn_ref=self.get_btn_ref(order),
            customer=self.get_customer(order),
            line_items=line_items,
        )

    def get_customer(self, order: Any) -> Customer | None:
        """
        Return the customer, without the e-mail address itself.

        A guest has no ID, nor has a user whose primary key is an e-mail address.
        Whether a guest is new to the shop is not known.
        """
        email = (order.email or "").strip()
        if order.user_id is None:
            return Customer(email=email) if email else None
        return Customer(
            id="" if has_email(str(order.user_id)) else order.user_id,
            email=email,
            is_new=not self.has_earlier_order(order),
        )

    def has_earlier_order(self, order: Any) -> bool:
        """Return whether the customer has an order before this one."""
        known: bool | None = getattr(order, "button_has_earlier_order", None)
        if known is None:
            orders = self.model._base_manager.using(order._state.db)
            known = orders.filter(
                user=order.user_id, date_placed__lt=order.date_placed
            ).exists()
        return known

    def get_line_items(self, order: Any) -> list[LineItem]:
        """Return the lines of which units are left, or if none are, all at no price."""
        lines = list(order.lines.all())
        returned = self.get_returned(order)
        totals = self.get_line_totals(order, lines, returned)
        items = [
            self.get_line_item(line, line.quantity - returned.units[line.pk], total)
            for line, total in zip(lines, totals, strict=True)
        ]
        # An update without lines might leave Button with the lines that it has, and
        # nobody knows whether Button takes a quantity of 0. It takes lines at no price.
        return [item for item in items if item.quantity] or [
            self.get_line_item(line, line.quantity, 0) for line in lines
        ]

    def get_line_item(self, line: Any, quantity: int, total: int) -> LineItem:
        """
        Return a line as Button gets it, with the units and the money that are left.

        The options of a line are not sent, because customers may write into them.
        """
        return LineItem(
            # One article may be on several lines.
            identifier=line.pk,
            total=total,
            amount=unit_price(total, quantity),
            quantity=quantity,
            description=line.title,
            sku=line.partner_sku,
            upc=line.upc or "",
            category=category_of(line.product),
        )

    def get_returned(self, order: Any) -> Returned:
        """Return what came back of the order."""
        lines = order.lines.all()
        is_all = is_among(self.returned_statuses, order.status)
        return find_returned(
            lines,
            gone={
                line.pk
                for line in lines
                if is_all or is_among(self.cancelled_line_statuses, line.status)
            },
            returns=events_among(self.return_events, order.shipping_events.all()),
            refunds=events_among(self.refund_events, order.payment_events.all()),
        )

    def get_line_totals(
        self, order: Any, lines: Sequence[Any], returned: Returned
    ) -> list[int]:
        """Return what is left of each line, without tax and in minor units."""
        kept = [returned.kept(line, line.line_price_excl_tax) for line in lines]
        gross = sum(returned.kept(line, line.line_price_incl_tax) for line in lines)
        totals = as_minor_units(kept, order.currency)
        if not returned.goodwill or gross <= 0:
            return totals
        net = returned.goodwill * sum(kept) / gross
        (goodwill,) = as_minor_units([net], order.currency)
        shares = spread(min(goodwill, max(sum(totals), 0)), totals)
        return [total - share for total, share in zip(totals, shares, strict=True)]

    def is_all_returned(self, order: Any) -> bool:
        """Return whether nothing is left of the lines, or of their price."""
        lines = list(order.lines.all())
        returned = self.get_returned(order)
        if returned.is_all(lines):
            return True
        was_free = not any(line.line_price_excl_tax for line in lines)
        return not was_free and not any(self.get_line_totals(order, lines, returned))

    def gross_total(self, order: Any) -> int | None:
        """Return the amount that the customer paid and did not get back."""
        returned = self.get_returned(order)
        back = returned.goodwill + sum(
            Fraction(line.line_price_incl_tax)
            - returned.kept(line, line.line_price_incl_tax)
            for line in order.lines.all()
        )
        amount = Fraction(order.total_incl_tax - order.surcharge_incl_tax) - back
        return max(as_minor_units([amount], order.currency)[0], 0)

    def tax(self, order: Any) -> int | None:
        delivery_tax = order.shipping_incl_tax - order.shipping_excl_tax
        returned = self.get_returned(order)
        taxes = [
            returned.kept(line, line.line_price_incl_tax - line.line_price_excl_tax)
            for line in order.lines.all()
        ]
        return as_minor_units([sum(taxes, Fraction(delivery_tax))], order.currency)[0]

    def delivery(self, order: Any) -> int | None:
        return as_minor_units([Fraction(order.shipping_excl_tax)], order.currency)[0]

    def get_queryset(self) -> QuerySet[Any]:
        """Return all orders. The number of queries does not depend on theirs."""
        orders = self.model._base_manager
        line = related_model(self.model, "lines")
        product = related_model(line, "product")
        categories = CategoriesWithPath(related_model(product, "categories"))
        earlier = orders.filter(
            user=OuterRef("user"), date_placed__lt=OuterRef("date_placed")
        )
        queryset: QuerySet[Any] = (
            orders.select_related("user")
            .annotate(button_has_earlier_order=Exists(earlier))
            .prefetch_related(
                Prefetch("lines", line._base_manager.select_related("product__parent")),
                Prefetch("lines__product__categories", categories),
                Prefetch("lines__product__parent__categories", categories),
                "payment_events__event_type",
                "payment_events__line_quantities",
                "shipping_events__event_type",
                "shipping_events__line_quantities",
                "surcharges",
            )
        )
        return queryset


def related_model(model: Any, name: str) -> Any:
    """Return the model at the other end of a relation, which a shop may have forked."""
    return model._meta.get_field(name).related_model


def is_among(names: Iterable[str], *texts: str) -> bool:
    """Return whether one of the texts is one of the names, in any letter case."""
    known = {name.casefold() for name in names}
    return any(text.casefold() in known for text in texts)


def events_among(names: Iterable[str], events: Iterable[Any]) -> list[Any]:
    """Return the events whose type has one of the names, or one as its code."""
    return [
        event
        for event in events
        if is_among(names, event.event_type.name, event.event_type.code)
    ]


def as_minor_units(amounts: Sequence[Fraction], currency: str) -> list[int]:
    """
    Return amounts in minor units that sum to the rounded sum of the amounts.

    Oscar has two decimals in each currency, and a part of a line may have more.
    """
    scaled = [amount * 10 ** exponent(currency) for amount in amounts]
    units = [floor(amount) for amount in scaled]
    missing = floor(sum(scaled, Fraction(1, 2))) - sum(units)
    by_rest = sorted(range(len(units)), key=lambda at: units[at] - scaled[at])
    for at in by_rest[:missing]:
        units[at] += 1
    return units


def unit_price(total: int, quantity: int) -> int | None:
    """Return the price of one unit, or None if it would have to be rounded."""
    return total // quantity if quantity and total % quantity == 0 else None


def as_moment(date_placed: datetime) -> datetime:
    """Return a date with a time zone, which a shop without ``USE_TZ`` leaves out."""
    return make_aware(date_placed) if is_naive(date_placed) else date_placed
