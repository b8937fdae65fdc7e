"""The result of a preflight, and the table of the mistakes that it looks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from django.utils.translation import gettext_lazy as _

from django_button_orders.report.validation import make_storable

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

# What a finding shows of its orders.
SHOWN_IDS = 3

ERROR = "error"
WARNING = "warning"


class Kind(NamedTuple):
    """A kind of mistake: how bad it is, what is wrong, and what to do about it."""

    severity: str
    title: _StrPromise
    todo: _StrPromise


# In the order in which they are shown.
KINDS: dict[str, Kind] = {
    "nothing_built": Kind(
        ERROR,
        _("No report was built"),
        _(
            "Select orders that are reportable and not cancelled, or check "
            "is_reportable() and is_cancelled()."
        ),
    ),
    "not_built": Kind(
        ERROR,
        _("The report cannot be built"),
        _("Correct the adapter. The Button orders of such orders fail as invalid."),
    ),
    "changing_report": Kind(
        ERROR,
        _("Two reports of the unchanged order differ"),
        _(
            "Read each value from the order, not from the clock, and sort the lines. "
            "Otherwise the order is reported again and again."
        ),
    ),
    "unknown_currency": Kind(
        ERROR,
        _("The currency is unknown"),
        _("Report the ISO 4217 code in upper case, such as USD."),
    ),
    "unknown_account": Kind(
        ERROR,
        _("The account is not in the settings"),
        _("Add the account to ACCOUNTS, or return a known one from get_account()."),
    ),
    "hook_failed": Kind(
        ERROR,
        _("A method for this check failed"),
        _(
            "gross_total(), tax() and delivery() must return an integer of minor "
            "units, or None."
        ),
    ),
    "repeated_order_id": Kind(
        ERROR,
        _("Several orders have the same order ID"),
        _(
            "Return an ID from get_order_id() that no other order of the account has. "
            "Only the first of such orders is reported."
        ),
    ),
    "repeated_identifier": Kind(
        ERROR,
        _("Lines of one order share an identifier"),
        _(
            "Use the primary key of the shop's line. The app numbers such lines, so "
            "after a return another line may have the number."
        ),
    ),
    "lines_differ": Kind(
        ERROR,
        _("The lines do not sum to the total"),
        _(
            "Subtract discounts of the whole order from the lines, and leave tax and "
            "delivery out of both."
        ),
    ),
    "total_above_gross": Kind(
        ERROR,
        _("The total is greater than the gross amount"),
        _("Report the goods after discounts and returns, without tax and delivery."),
    ),
    "total_is_gross": Kind(
        ERROR,
        _("The total equals the gross amount"),
        _("Subtract tax and delivery: you would pay commission on both."),
    ),
    "total_has_delivery": Kind(
        ERROR,
        _("The total contains delivery"),
        _("Subtract the delivery fee: you would pay commission on it."),
    ),
    "total_has_tax": Kind(
        ERROR,
        _("The total contains tax"),
        _("Subtract the tax: you would pay commission on it."),
    ),
    "total_above_net": Kind(
        ERROR,
        _("The total contains a part of the tax or of the delivery"),
        _(
            "Subtract the tax from the goods, and leave out the tax on the delivery. "
            "delivery() must return the fee without tax."
        ),
    ),
    "future_date": Kind(
        ERROR,
        _("The purchase date is in the future"),
        _("Check the time zone of the date."),
    ),
    "old_date": Kind(
        ERROR,
        _("The purchase date is before the year 2000"),
        _(
            "Report the moment of the purchase. If the order is that old, return False "
            "from is_reportable()."
        ),
    ),
    "email_in_text": Kind(
        ERROR,
        _("A text contains an e-mail address"),
        _("Remove it: publishers see this text."),
    ),
    "hash_of_nothing": Kind(
        ERROR,
        _("The e-mail hash is the hash of an empty value"),
        _("Report Customer(email=...) only if the order has an address."),
    ),
    "publisher_token": Kind(
        ERROR,
        _("The attribution token is the ID of a publisher"),
        _(
            "A token that begins with org- belongs to a link of Button, and not to a "
            "visit. Do not store it."
        ),
    ),
    "no_token": Kind(
        WARNING,
        _("No order has an attribution token"),
        _("Button attributes no order without one. Store it at the checkout."),
    ),
    "fake_token": Kind(
        WARNING,
        _("The attribution token is one for tests"),
        _("Real visits have no token that begins with fakesrctok-."),
    ),
    "repeated_token": Kind(
        WARNING,
        _("Many orders have the same attribution token"),
        _("Check that the checkout reads the token of the visitor who buys."),
    ),
    "shared_customer": Kind(
        WARNING,
        _("Most orders have the same customer"),
        _("Report the customer's ID and address, and not those of the shop."),
    ),
    "dummy_email": Kind(
        WARNING,
        _("The customer's e-mail address is a dummy"),
        _("This is right for anonymised customers. Such an address is not sent."),
    ),
    "placeholder_email": Kind(
        WARNING,
        _("The customer's e-mail address is a placeholder"),
        _("Leave it out, or add it to DUMMY_EMAILS. Otherwise its hash is sent."),
    ),
    "unseen_order_id": Kind(
        WARNING,
        _("Customers may not know the order ID, and customer_order_id is empty"),
        _("Report the number that customers see as customer_order_id."),
    ),
    "withdrawn_currency": Kind(
        WARNING,
        _("The currency was withdrawn"),
        _("This is right for old orders only."),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """
    A mistake in one or more orders.

    ``code`` is a key of ``KINDS``. ``detail`` says where it is: a hook with the type
    and place of its error, or the name of a field. ``count`` is the number of orders,
    and ``order_ids`` has up to three of them. Nothing contains an e-mail address.
    """

    code: str
    detail: str
    count: int
    order_ids: tuple[str, ...]

    @property
    def severity(self) -> str:
        """Return "error" for what is wrong, and "warning" for what is worth a look."""
        return KINDS[self.code].severity

    @property
    def is_wrong(self) -> bool:
        return self.severity == ERROR

    @property
    def title(self) -> str:
        return str(KINDS[self.code].title)

    @property
    def todo(self) -> str:
        """Return what to do about it, in a sentence."""
        return str(KINDS[self.code].todo)

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        texts = {name: getattr(self, name) for name in ("severity", "title", "todo")}
        return {**asdict(self), **texts}


class Findings:
    """The mistakes found so far, by kind and detail."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.order_ids: dict[tuple[str, str], list[str]] = {}

    def add(self, code: str, *order_ids: str, detail: str = "", count: int = 1) -> None:
        """Count a mistake of ``count`` orders, and keep the IDs of up to three."""
        key = (code, make_storable(detail))
        self.counts[key] += count
        shown = self.order_ids.setdefault(key, [])
        # An order ID may be, or contain, an e-mail address.
        shown += map(make_storable, order_ids[: SHOWN_IDS - len(shown)])

    def sorted(self) -> Iterator[Finding]:
        """Yield the findings: what is wrong first, and then by kind and count."""
        codes = list(KINDS)
        for (code, detail), count in sorted(
            self.counts.items(),
            key=lambda item: (codes.index(item[0][0]), -item[1], item[0][1]),
        ):
            ids = tuple(dict.fromkeys(self.order_ids[code, detail]))
            yield Finding(code=code, detail=detail, count=count, order_ids=ids)


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """
    The result of a preflight.

    ``orders`` is the number of orders that were looked at. Each is in one of
    ``reports`` (its report was built), ``not_built``, ``not_reportable`` and
    ``cancelled``. ``shares`` counts the reports that have a token, lines and so on.
    ``unknown_ids`` are the wanted order IDs that no order has.
    """

    orders: int = 0
    reports: int = 0
    not_built: int = 0
    not_reportable: int = 0
    cancelled: int = 0
    findings: list[Finding] = field(default_factory=list)
    shares: dict[str, int] = field(default_factory=dict)
    unknown_ids: list[str] = field(default_factory=list)

    @property
    def errors(self) -> list[Finding]:
        """Return the findings that are wrong."""
        return [finding for finding in self.findings if finding.is_wrong]

    @property
    def warnings(self) -> list[Finding]:
        """Return the findings that are worth a look."""
        return [finding for finding in self.findings if not finding.is_wrong]

    def percent(self, name: str) -> int:
        """Return the percentage of the reports that have something."""
        return round(100 * self.shares[name] / self.reports) if self.reports else 0
