"""
The report of one order as value objects, its JSON object for Button, and its digest.

The names, types and limits come from Button's page "Report an Order" and from its
overview of the Order API. Creating an object validates it: ``ValidationError`` names
the invalid fields. A value that is ``None`` or empty is not sent. Keys of the shop may
be integers or UUIDs, and become texts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field, fields, replace
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from itertools import count
from typing import Any

from django.core.exceptions import ImproperlyConfigured, ValidationError

from django_button_orders.report import validation
from django_button_orders.report.money import exponent, to_decimal
from django_button_orders.report.validation import Cleaner, Key, optional

# Top-level domains in which nobody has an address.
DUMMY_DOMAINS = ("invalid", "example")
# The length of half a digest, and what its second half begins with if Button refused
# the customer. Digests have no capitals otherwise.
HALF = 32
REFUSED = "X"


def hash_email(email: str) -> str:
    """
    Return the SHA-256 of an e-mail address in hexadecimal, as Button expects it.

    The function first strips and lower-cases the address. It returns "" for a dummy
    address: one that lacks "@" or a part beside it, one that ends with ``.invalid`` or
    ``.example``, or one that ``DUMMY_EMAILS`` matches. It raises ``ValidationError`` if
    the address is empty or not a string.
    """
    normalized = validation.clean_text(email).strip().lower()
    if not normalized:
        raise ValidationError("Enter an e-mail address.", code="required")
    if is_dummy_email(normalized):
        return ""
    return hashlib.sha256(normalized.encode()).hexdigest()


def is_dummy_email(normalized: str) -> bool:
    """
    Return whether an address stands for a customer whom the shop has anonymised.

    It is one that lacks "@" or a part beside it, in a domain that RFC 2606 keeps for
    such uses, or one that ``DUMMY_EMAILS`` matches. ``normalized`` is the address in
    lower case.
    """
    name, _, domain = normalized.rpartition("@")
    domain = domain.rstrip(".")
    return (
        not (name and domain)
        or domain.rpartition(".")[2] in DUMMY_DOMAINS
        or any(fnmatchcase(normalized, item.lower()) for item in dummy_patterns())
    )


def dummy_patterns() -> Sequence[str]:
    """Return ``DUMMY_EMAILS``, or nothing if the settings cannot be read."""
    # Imported here, because ``conf`` imports this package.
    from django_button_orders.conf import get_settings

    try:
        return get_settings().dummy_emails
    except ImproperlyConfigured:
        # A shop may hash an address in its checkout, which must not fail for this.
        return ()


def from_mapping(cls: type[Any], value: Mapping[str, Any]) -> Any:
    """Create a value object from a dict. Raises ``ValidationError`` for other keys."""
    known = {item.name for item in fields(cls) if item.init}
    if unknown := sorted(str(key) for key in value.keys() - known):
        raise ValidationError(
            "Unknown keys: %(unknown)s. Allowed keys: %(known)s.",
            code="unknown",
            params={
                "unknown": ", ".join(map(validation.redact_email, unknown)),
                "known": ", ".join(sorted(known)),
            },
        )
    return cls(**value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Customer:
    """
    The customer of an order. An e-mail address is hashed at once, and not stored.

    All fields are optional. ``id`` is the shop's ID of the customer. It must not change
    and must not contain an e-mail address. ``email`` becomes ``email_sha256``, unless
    it is a dummy address (see ``hash_email``). ``device_id`` is the advertising ID of a
    phone. ``is_new`` says whether the customer is new to the shop.

    ``has_dummy_email`` is set by the class, and not sent: the address was a dummy one.
    """

    id: Key = ""
    email: InitVar[str | None] = None
    email_sha256: str = ""
    device_id: str = ""
    is_new: bool | None = None
    has_dummy_email: bool = field(default=False, init=False, repr=False, compare=False)

    def __post_init__(self, email: str | None) -> None:
        if email is not None and email != "":
            try:
                hashed = hash_email(email)
            except ValidationError as exc:
                raise ValidationError({"email": exc}) from exc
            given = str(self.email_sha256 or hashed).lower()
            if hashed and given != hashed:
                raise ValidationError(
                    {"email_sha256": "This is not the hash of the e-mail address."}
                )
            object.__setattr__(self, "email_sha256", hashed)
            object.__setattr__(self, "has_dummy_email", not hashed)
        validation.apply_cleaners(self, CUSTOMER_CLEANERS)

    def as_dict(self) -> dict[str, Any]:
        return without_empty({name: getattr(self, name) for name in CUSTOMER_CLEANERS})


CUSTOMER_CLEANERS: dict[str, Cleaner] = {
    "id": optional(validation.clean_personal_key),
    "email_sha256": optional(validation.clean_sha256),
    "device_id": optional(validation.clean_personal_text),
    "is_new": optional(validation.clean_boolean, None),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LineItem:
    """
    One line of the order. Amounts are integers in minor units: 1234 is 12.34 USD.

    ``total`` is the price of all units, after discounts and without tax. It may be
    zero, or negative if the line is a discount. ``amount`` is the price of one unit. A
    missing ``total`` is computed as ``amount`` times ``quantity``. ``category`` is a
    list that begins with the most general name. ``attributes`` is a dict of strings.

    ``identifier`` identifies a line within its order, so use the primary key of the
    shop's line. If several lines share an identifier such as "MUG", the report numbers
    the later ones: "MUG-2". That sets their ``is_numbered``, which is not sent.
    """

    identifier: Key
    total: int | None = None
    amount: int | None = None
    quantity: int | None = None
    description: str = ""
    sku: Key = ""
    upc: Key = ""
    category: Sequence[str] = ()
    attributes: Mapping[str, str] | None = None
    is_numbered: bool = field(default=False, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        quantity = 1 if self.quantity is None else self.quantity
        if self.total is None and type(self.amount) is type(quantity) is int:
            object.__setattr__(self, "total", self.amount * quantity)
        validation.apply_cleaners(self, LINE_ITEM_CLEANERS)

    def as_dict(self) -> dict[str, Any]:
        values = without_empty(
            {name: getattr(self, name) for name in LINE_ITEM_CLEANERS}
        )
        if "category" in values:
            values["category"] = list(values["category"])
        return values


LINE_ITEM_CLEANERS: dict[str, Cleaner] = {
    "identifier": validation.clean_required_key,
    "total": validation.minor_units(-validation.INT32_MAX - 1),
    "amount": optional(validation.minor_units(-validation.INT32_MAX - 1), None),
    "quantity": optional(validation.integer(0), None),
    "description": optional(validation.clean_text),
    "sku": optional(validation.clean_key),
    "upc": optional(validation.clean_key),
    "category": optional(validation.clean_category, ()),
    "attributes": optional(validation.clean_attributes, None),
}


def clean_customer(value: Any) -> Customer | None:
    """Return a ``Customer``, also from a dict, which must have no e-mail address."""
    if isinstance(value, Customer):
        return value
    if not isinstance(value, Mapping):
        raise validation.wrong_type("a Customer or a dict", value)
    if "email" in value:
        raise ValidationError(
            "Enter email_sha256 instead of email, or use a Customer, which "
            "hashes the address.",
            code="email",
        )
    try:
        customer: Customer = from_mapping(Customer, value)
    except ValidationError as exc:
        raise ValidationError(validation.as_line(exc), code="customer") from exc
    return customer


def clean_line_item(position: int, value: Any) -> LineItem:
    """Return a ``LineItem``, also from a dict. Errors name its position."""
    if isinstance(value, LineItem):
        return value
    try:
        if not isinstance(value, Mapping):
            raise validation.wrong_type("a LineItem or a dict", value)
        if "identifier" not in value:
            value = {**value, "identifier": ""}
        item: LineItem = from_mapping(LineItem, value)
    except ValidationError as exc:
        raise ValidationError(
            "Line %(position)d: %(error)s",
            code="line_item",
            params={"position": position, "error": validation.as_line(exc)},
        ) from exc
    return item


def clean_line_items(value: Any) -> tuple[LineItem, ...]:
    """Return line items, each with its own identifier."""
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise validation.wrong_type("a list of line items", value)
    return with_own_identifiers(
        [clean_line_item(at, item) for at, item in enumerate(value, start=1)]
    )


def sum_lines(line_items: Any) -> int | None:
    """Return the sum of line items in minor units, or None without valid line items."""
    try:
        items = clean_line_items(line_items or ())
    except ValidationError:
        return None
    return sum(item.total for item in items) if items else None  # type: ignore[misc]  # cleaned


def with_own_identifiers(items: Sequence[LineItem]) -> tuple[LineItem, ...]:
    """
    Return line items, with "MUG-2" for the second that has the identifier "MUG".

    An article may be on several lines, and Button wants an identifier once in an order.
    """
    taken = {item.identifier for item in items}
    if len(taken) == len(items):
        return tuple(items)
    found: list[LineItem] = []
    numbers: dict[Key, Iterator[int]] = {}
    for item in items:
        if item.identifier in numbers:
            names = (f"{item.identifier}-{n}" for n in numbers[item.identifier])
            identifier = next(name for name in names if name not in taken)
            numbered = replace(item, identifier=identifier)
            object.__setattr__(numbered, "is_numbered", True)
            found.append(numbered)
        else:
            numbers[item.identifier] = count(2)
            found.append(item)
    return tuple(found)


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderReport:
    """
    What Button should know about one order.

    ``order_id`` is the shop's unique ID, by which Button finds the order later.
    ``total`` is an integer in minor units (1234 is 12.34 USD): after discounts, and
    without taxes, surcharges and delivery. Button's page "Report an Order" calls it the
    commissionable total. ``currency`` is an ISO 4217 code in upper case.
    ``purchase_date`` is the moment of the purchase, with a time zone. ``btn_ref`` is
    the attribution token. Button accepts orders without a token, but does not attribute
    them. ``customer_order_id`` is the order number that the customer sees, if it is not
    ``order_id``. ``partner_order_channel`` is "app" or "webview", and empty for a
    browser. ``finalization_date`` overrides the date after which Button accepts no
    changes. Button advises against sending it.

    Raises ``ValidationError`` that names the invalid fields.
    """

    order_id: Key
    total: int
    currency: str
    purchase_date: datetime
    btn_ref: str | None = ""
    customer_order_id: Key | None = ""
    customer: Customer | Mapping[str, Any] | None = None
    line_items: Sequence[LineItem | Mapping[str, Any]] | None = ()
    partner_order_channel: str | None = ""
    finalization_date: datetime | None = None

    def __post_init__(self) -> None:
        validation.apply_cleaners(self, ORDER_CLEANERS)

    @property
    def lines_total(self) -> int | None:
        """
        Return the sum of the lines in minor units, or None without lines.

        Button documents no rule that it must equal ``total``. If they differ, the
        order's page in the admin warns.
        """
        return sum_lines(self.line_items)

    def as_fields(self) -> dict[str, Any]:
        """Return the values by field, as a ``ButtonOrder`` stores them."""
        values = {name: getattr(self, name) for name in ORDER_CLEANERS}
        values["customer"] = self.customer.as_dict() if self.customer else None  # type: ignore[union-attr]  # cleaned
        values["line_items"] = [item.as_dict() for item in self.line_items or ()]  # type: ignore[union-attr]  # cleaned
        return values

    def as_payload(self) -> dict[str, Any]:
        """Return the JSON object for Button, without empty values."""
        return payload_of(self.as_fields())

    def digest(self) -> str:
        """Return a hash of the values that an update can change at Button."""
        return digest_of(self.as_payload())


ORDER_CLEANERS: dict[str, Cleaner] = {
    "order_id": validation.clean_order_id,
    "total": validation.minor_units(0),
    "currency": validation.clean_currency,
    "purchase_date": validation.clean_moment,
    "btn_ref": optional(validation.clean_btn_ref),
    "customer_order_id": optional(validation.clean_short_key),
    "customer": optional(clean_customer, None),
    "line_items": optional(clean_line_items, ()),
    "partner_order_channel": optional(validation.clean_channel),
    "finalization_date": optional(validation.clean_moment, None),
}


def lines_of(report: OrderReport) -> tuple[LineItem, ...]:
    """Return the lines of a report: once it is made, each is a ``LineItem``."""
    return tuple(line for line in report.line_items or () if isinstance(line, LineItem))


def without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are not empty. Zero and False are not empty."""
    return {
        key: value for key, value in values.items() if value not in (None, "", (), {})
    }


def payload_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON object for Button, made from ``OrderReport.as_fields()``."""
    values = {**fields, "line_items": fields["line_items"] or None}
    for name in ("purchase_date", "finalization_date"):
        values[name] = as_timestamp(values[name])
    return without_empty(values)


def without_btn_ref(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if key != "btn_ref"}


def digest_of(payload: Mapping[str, Any]) -> str:
    """
    Return a hash of the values that an update can change at Button.

    If there is a customer, the second half is the hash of the customer alone, and the
    first half of all else. ``btn_ref`` is left out, because an update never sends it.
    The payload must have amounts in minor units.
    """
    order = without_btn_ref(payload)
    customer = order.pop("customer", None)
    digest = hash_json(order)
    return digest[:HALF] + hash_json(customer)[HALF:] if customer else digest


def hash_json(value: Any) -> str:
    """Return the SHA-256 of a value that JSON can represent."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def is_same_order(digest: str, other: str) -> bool:
    """Return whether two digests differ in nothing but the customer."""
    return digest[:HALF] == other[:HALF]


def with_refused_customer(digest: str) -> str:
    """Return a digest that is marked: Button has the order, but not this customer."""
    return digest[:HALF] + REFUSED + digest[HALF + 1 :]


def is_customer_refused(digest: str) -> bool:
    return digest[HALF : HALF + 1] == REFUSED


def as_timestamp(value: datetime | None) -> str | None:
    """Return a moment as Button's samples write it: in UTC, "2026-11-30T12:00:00Z"."""
    if value is None:
        return None
    text = value.astimezone(timezone.utc).isoformat(timespec="seconds")
    return text.replace("+00:00", "Z")


def with_decimals(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payload with amounts in major units, for ``TOTAL_AS_DECIMAL``."""
    currency = payload["currency"]
    amounts = ("total", "amount")

    def convert(values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            key: as_number(value, currency) if key in amounts else value
            for key, value in values.items()
        }

    decimal = convert(payload)
    decimal["total_as_decimal"] = True
    if "line_items" in payload:
        decimal["line_items"] = [convert(item) for item in payload["line_items"]]
    return decimal


def as_number(minor_units: int, currency: str) -> int | float:
    """Return an amount in major units as a JSON number."""
    amount = to_decimal(minor_units, currency)
    # A float is exact for up to fifteen digits, and the amount has at most ten.
    return int(amount) if exponent(currency) == 0 else float(amount)
