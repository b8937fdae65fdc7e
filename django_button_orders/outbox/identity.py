"""Find which row an order of the shop has: its account, order id and placeholder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from django_button_orders.conf import ACCOUNT_LENGTH, DEFAULT_ACCOUNT
from django_button_orders.models import ButtonOrder, content_type_of
from django_button_orders.outbox.adapters import OrderAdapter, by_model
from django_button_orders.outbox.stored import as_stored
from django_button_orders.report.validation import clean_short_text


class RowKey:
    """
    The account and order id of a host order's row, and whether it is reportable.

    ``resolve`` asks the hooks of the adapter for them. Until then the key is that of a
    placeholder row, so that an adapter that raises has a row for its error.
    """

    def __init__(
        self, adapter: OrderAdapter, host_order: Any, *, is_leaving: bool = False
    ) -> None:
        self.adapter = adapter
        self.host_order = host_order
        self.account = DEFAULT_ACCOUNT
        self.order_id = placeholder_id(adapter.model, host_order.pk)
        self.is_reportable = False
        #: The order may be deleted just now, so it gets no new row.
        self.is_leaving = is_leaving
        #: The hook that is running, or has raised, or returned what is not valid.
        self.hook = ""

    @property
    def hook_name(self) -> str:
        """Return the adapter and its current hook, for an error message."""
        return f"{self.adapter.name}.{self.hook}" if self.hook else self.adapter.name

    def resolve(self) -> bool:
        """
        Ask the adapter. Return whether the order has an id.

        A draft may have none yet. An order that is reportable must have one: raises
        what ``get_order_id`` has raised, and what the other hooks raise.
        """
        missing: Exception | None = None
        try:
            self.order_id = clean_key(self.ask("get_order_id"))
        except Exception as exc:  # noqa: BLE001 - raised below, unless it is a draft
            missing = exc
        self.account = clean_account(self.ask("get_account"))
        self.is_reportable = bool(self.ask("is_reportable"))
        if missing is not None and self.is_reportable:
            self.hook = "get_order_id"
            raise missing
        self.hook = ""
        return missing is None

    def use_stored(self, *, using: str, is_new: bool) -> None:
        """
        Have the hooks asked about what the database keeps of the order.

        An order that would have to be read anew, and is gone, is asked as it is.
        """
        stored = as_stored(self.host_order, using=using, is_new=is_new)
        if stored is None:
            self.is_leaving = True
        elif stored is not self.host_order:
            self.host_order = stored
            self.order_id = placeholder_id(self.adapter.model, stored.pk)

    def ask(self, hook: str) -> Any:
        """Call a hook of the adapter, and remember it for error messages."""
        self.hook = hook
        return getattr(self.adapter, hook)(self.host_order)

    def use_placeholder(self) -> None:
        """Use the placeholder's id, because another order has the id of this one."""
        self.order_id = placeholder_id(self.adapter.model, self.host_order.pk)
        self.hook = "get_order_id"

    def source(self, using: str) -> dict[str, Any]:
        """Return the columns by which a row refers to the host order."""
        kind = content_type_of(self.adapter.model, using)
        # Keys and not objects: the content type may be in another database.
        return {"source_type_id": kind.pk, "source_id": str(self.host_order.pk)}


def clean_key(value: Any) -> str:
    """Return an account or order id as text that fits its column."""
    text = clean_short_text("" if value is None else str(value))
    if not text:
        raise ValidationError("The method returned nothing.", code="required")
    return text


def clean_account(value: Any) -> str:
    """Return an account that fits its column, or else a whole batch would fail."""
    account = clean_key(value)
    if len(account) > ACCOUNT_LENGTH:
        raise ValidationError(f"Enter at most {ACCOUNT_LENGTH} characters.")
    return account


def placeholder_id(model: type[models.Model], key: object) -> str:
    """Return the order id of a host order's row while its adapter returns none."""
    return f"{model._meta.label_lower}:{key}"[:255]


def dismiss_placeholders(rows: Iterable[ButtonOrder]) -> None:
    """Dismiss the placeholder rows of orders that now have a row with their own id."""
    for _, group in by_model(rows):
        new = [row.source_id for row in group if row.reported_revision is None]
        dismiss_placeholders_of(group[0].source_type_id, new, using=group[0]._state.db)


def dismiss_placeholders_of(
    source_type_id: int | None, source_ids: Iterable[str | None], *, using: str | None
) -> None:
    """Dismiss the failed placeholder rows of some host orders of one model."""
    failed = ButtonOrder.objects.using(using).failed()
    of_those = {"source_type_id": source_type_id, "source_id__in": list(source_ids)}
    # They are read first, because MySQL locks every row that an UPDATE looks at.
    for row in failed.filter(**of_those):
        model = row.get_source_model()
        if model and row.order_id == placeholder_id(model, row.source_id):
            row.dismiss("The order is now reported under its order ID.")
