"""
Erase a customer: find the orders, export what is stored about them, and erase it.

``erase()`` is public. An order is the customer's if its Button order names them.
It also is if a stored call does: the order may have got another customer since.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db import connections, transaction
from django.db.models import Func, Model, Q, QuerySet, TextField, Value
from django.db.models.fields.json import KT
from django.db.models.lookups import Exact

from django_button_orders import doorbell
from django_button_orders.models import ButtonOrder, Difference, Submission, as_aware
from django_button_orders.models.databases import database_aliases
from django_button_orders.models.encoding import as_stored_json
from django_button_orders.models.erasing import erase_row
from django_button_orders.models.keyset import Keyset
from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.operations.orders import (
    ACTIONS,
    log_entries,
    new_entry,
    save_entries,
)
from django_button_orders.report.erasing import hash_any_email

PAGE = 500


@dataclass(frozen=True, kw_only=True)
class ErasedOrder:
    """
    An order whose personal data was erased. None of these values is personal.

    ``in_flight`` is whether a worker held the order: its call may still reach Button
    with the customer's data. ``was_sent`` is whether a call for it may have reached
    Button. If not, Button has nothing to erase.
    """

    account: str
    order_id: str
    button_order_id: str
    purchase_date: datetime | None
    status: str
    in_flight: bool
    was_sent: bool


@dataclass(kw_only=True)
class EraseResult:
    """The erased orders, which a shop may hand to Button, its processor."""

    orders: list[ErasedOrder] = field(default_factory=list)


class AsUnquoted(Func):
    """The text that a JSON string stands for, whatever encoding a connection has."""

    template = "JSON_UNQUOTE(CONVERT(%(expressions)s USING utf8mb4))"
    output_field = TextField()


@dataclass(frozen=True, kw_only=True)
class Person:
    """
    The customer to look for, by any of three keys.

    ``account`` limits the search. Raises ``ValidationError`` if ``email`` is none, and
    ``ValueError`` without a key.
    """

    customer_id: str | None = None
    email: str | None = None
    order_ids: Collection[str] = ()
    account: str | None = None

    def __post_init__(self) -> None:
        if not (self.customer_id or self.email or self.order_ids):
            raise ValueError("Give a customer_id, an email or order_ids.")
        # Fails at once for a text that is no address.
        self.email_hashes()

    def email_hashes(self) -> list[str]:
        """Return the hash of the address as a call may have it: in either case."""
        if not self.email:
            return []
        digest = hash_any_email(self.email)
        return [digest, digest.upper()]

    def find(self, using: str) -> Iterator[int]:
        """
        Yield the keys of the Button orders in a database that were not erased yet.

        An index has the hash of the address. None has the customer's ID or the stored
        calls, so the database reads its whole tables once.
        """
        seen: set[int] = set()
        for orders in self.searches(using):
            for pks in Keyset(orders).key_pages(PAGE):
                new = [pk for pk in pks if pk not in seen]
                seen.update(new)
                yield from new
        for pk in self.find_in_bodies(using):
            if pk not in seen:
                seen.add(pk)
                yield pk

    def orders(self, using: str) -> ButtonOrderQuerySet:
        orders = ButtonOrder.objects.using(using).filter(erased_at__isnull=True)
        return orders.filter(account=self.account) if self.account else orders

    def searches(self, using: str) -> Iterator[ButtonOrderQuerySet]:
        if self.order_ids:
            yield self.orders(using).filter(order_id__in=list(self.order_ids))
        if self.customer_id or self.email:
            yield self.orders(using).filter(self.as_condition(using))

    def as_condition(self, using: str) -> Q:
        """Return the condition of the rows whose customer this is."""
        condition = Q()
        if self.customer_id:
            stored = as_stored_json(self.customer_id, connections[using])
            condition |= Q(customer__id=stored)
            if connections[using].vendor == "mysql":
                # Of a connection with another encoding, MySQL does not compare JSON.
                text = AsUnquoted(Value(json.dumps(stored)))
                condition |= Q(Exact(KT("customer__id"), text))
            # A shop that writes rows itself may have stored an integer.
            number = as_integer(self.customer_id)
            if number is not None:
                condition |= Q(customer__id=number)
        if self.email:
            # SQLite uses a partial index only if the query repeats its condition.
            digest = hash_any_email(self.email)
            condition |= Q(email_sha256=digest, email_sha256__gt="")
        return condition

    def count_unknown(self, using: str) -> int:
        """Return how many orders have no customer yet, as no worker has built them."""
        orders = self.orders(using).filter(
            purchase_date__isnull=True,
            source_id__isnull=False,
            status__in=[ButtonOrder.Status.PENDING, ButtonOrder.Status.FAILED],
        )
        return 0 if not (self.customer_id or self.email) else orders.count()

    def find_missing(self) -> set[str]:
        """Return those of ``order_ids`` that no Button order has."""
        missing = set(self.order_ids)
        for alias in database_aliases() if missing else ():
            rows = ButtonOrder.objects.using(alias).filter(order_id__in=missing)
            if self.account:
                rows = rows.filter(account=self.account)
            missing -= set(rows.values_list("order_id", flat=True))
        return missing

    def find_in_bodies(self, using: str) -> Iterator[int]:
        """Yield the keys of the orders of which a stored call names this customer."""
        needles = self.email_hashes()
        if self.customer_id:
            needles.append(json.dumps(self.customer_id))
        condition = Q()
        for needle in needles:
            condition |= Q(request_body__contains=needle)
            condition |= Q(response_body__contains=needle)
        if not needles:
            return
        calls = Submission.objects.using(using).filter(
            condition, has_bodies=True, button_order__erased_at__isnull=True
        )
        if self.account:
            calls = calls.filter(button_order__account=self.account)
        for page in Keyset(calls).pages(PAGE):
            for call in page:
                if any(map(self.is_named_in, (call.request_body, call.response_body))):
                    yield call.button_order_id

    def is_named_in(self, body: str) -> bool:
        """Return whether a body names the customer, and no article of that name."""
        if any(digest in body for digest in self.email_hashes()):
            return True
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            return False
        if isinstance(data, dict) and isinstance(data.get("object"), dict):
            data = data["object"]
        customer = data.get("customer") if isinstance(data, dict) else None
        found = customer.get("id") if isinstance(customer, dict) else None
        return bool(self.customer_id) and str(found) == self.customer_id


def erase(
    *,
    customer_id: str | None = None,
    email: str | None = None,
    order_ids: Collection[str] = (),
    account: str | None = None,
    tell_button: bool = False,
    using: str | None = None,
    user_id: Any = None,
) -> EraseResult:
    """
    Erase the personal data of a customer's orders, and return the orders.

    Give one or more of ``customer_id``, ``email`` and ``order_ids``; ``account`` and
    ``using`` (a database alias) limit the search. Each order has a transaction of its
    own, so an interrupted call may be repeated. Erased orders are not found again.

    No call is made for an order that Button has acknowledged as it is. With
    ``tell_button``, it is reported once more without the customer, if it can still be
    changed; Button does not document whether it then forgets the earlier customer.
    ``user_id`` is the user for the log of Django's admin.

    Raises ``ValidationError`` if ``email`` is no address, and ``ValueError`` if there
    is nothing to look for.
    """
    person = Person(
        customer_id=customer_id, email=email, order_ids=order_ids, account=account
    )
    result = EraseResult()
    for alias in database_aliases() if using is None else [using]:
        for pk in list(person.find(alias)):
            order = erase_order(
                pk, using=alias, tell_button=tell_button, user_id=user_id
            )
            if order is not None:
                result.orders.append(order)
    return result


def erase_order(
    pk: int, *, using: str, tell_button: bool = False, user_id: Any = None
) -> ErasedOrder | None:
    """Erase one order, log it and ring for it. Return None if it was erased before."""
    with transaction.atomic(using=using):
        orders = ButtonOrder.objects.using(using).all()
        row = erase_row(pk, orders, tell_button=tell_button)
        if row is None:
            return None
        if user_id is not None:
            message = str(ACTIONS["erase"].log_message)
            save_entries([new_entry(user_id, row.pk, str(row), message)])
        if tell_button and row.status == ButtonOrder.Status.PENDING:
            doorbell.ring(row.pk, using=using, trigger="command")
    return as_erased(row)


def as_erased(row: ButtonOrder) -> ErasedOrder:
    return ErasedOrder(
        account=row.account,
        order_id=row.order_id,
        button_order_id=row.button_order_id,
        purchase_date=as_aware(row.purchase_date),
        status=row.status,
        in_flight=row.lease_token is not None,
        # A refused call has sent the data as well.
        was_sent=row.is_acknowledged
        or row.unanswered > 0
        or row.last_status_code is not None,
    )


def as_json(order: ErasedOrder) -> dict[str, Any]:
    """Return an erased order as JSON."""
    date = order.purchase_date
    return {**asdict(order), "purchase_date": date.isoformat() if date else None}


def export(pk: int, *, using: str) -> dict[str, Any]:
    """
    Return all that is stored about one order: its row, calls and differences.

    ``log`` has the entries of Django's admin, where operators may have written notes.
    """
    row = ButtonOrder.objects.using(using).filter(pk=pk)
    [order] = row.values()
    calls = Submission.objects.using(using).filter(button_order=pk).order_by("pk")
    differences = Difference.objects.using(using).filter(
        account=order["account"], order_id=order["order_id"]
    )
    return {
        "order": order,
        "calls": list(calls.values()),
        "differences": list(rows_of(differences)),
        "log": entries_of(pk, order["order_id"]),
    }


def as_integer(text: str) -> int | None:
    """Return the integer that has this text, or None. "042" is the text of none."""
    is_number = text.isdecimal() and text.isascii() and text in ("0", text.lstrip("0"))
    return int(text) if is_number else None


def entries_of(pk: int, order_id: str) -> list[dict[str, Any]]:
    """Return the entries about an order in the log of Django's admin."""
    if not apps.is_installed("django.contrib.admin"):
        return []
    # In another database, another order may have the same key.
    entry = new_entry(None, pk, order_id, "")
    same = ("content_type_id", "object_id", "object_repr")
    entries = log_entries().filter(**{name: getattr(entry, name) for name in same})
    names = ("action_time", "user_id", "change_message")
    return list(entries.order_by("pk").values(*names))


def rows_of(rows: QuerySet[Model]) -> QuerySet[Model, dict[str, Any]]:
    return rows.order_by("pk").values()
