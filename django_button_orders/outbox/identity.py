"""Which row an order of the shop has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from django_button_orders.conf import DEFAULT_ACCOUNT
from django_button_orders.models import ButtonOrder, content_types
from django_button_orders.outbox.adapters import OrderAdapter, by_model
from django_button_orders.report.validation import clean_short_text


class RowKey:
    """
    Which row a host order has: what the cheap hooks of its adapter say.

    Until they have said it, there are stand-ins, so that an adapter that
    raises has a row to put its error on.
    """

    def __init__(self, adapter: OrderAdapter, host_order: Any) -> None:
        self.adapter = adapter
        self.host_order = host_order
        self.account = DEFAULT_ACCOUNT
        self.order_id = placeholder_id(adapter.model, host_order.pk)
        self.is_reportable = False
        self.hook = ""

    @property
    def hook_name(self) -> str:
        """Return who was asked, and has not answered, for an error message."""
        return f"{self.adapter.name}.{self.hook}" if self.hook else self.adapter.name

    def resolve(self) -> bool:
        """Return whether there is anything to note: a draft may have no id yet."""
        missing: Exception | None = None
        try:
            self.order_id = self.text(self.ask("get_order_id"))
        except Exception as exc:  # noqa: BLE001 - raised below, unless it is a draft
            missing = exc
        self.account = self.text(self.ask("get_account"))
        self.is_reportable = bool(self.ask("is_reportable"))
        if missing is not None and self.is_reportable:
            self.hook = "get_order_id"
            raise missing
        self.hook = ""
        return missing is None

    def use_placeholder(self) -> None:
        """Have a row of its own for an order whose id is that of another one."""
        self.order_id = placeholder_id(self.adapter.model, self.host_order.pk)
        self.hook = "get_order_id"

    def ask(self, hook: str) -> Any:
        self.hook = hook
        return getattr(self.adapter, hook)(self.host_order)

    def text(self, value: Any) -> str:
        """Return what fits its column. Whether Button takes it is seen later."""
        text = clean_short_text("" if value is None else str(value))
        if not text:
            raise ValidationError("It returned nothing.", code="required")
        return text

    def source(self, using: str) -> dict[str, Any]:
        kind = content_types(using).get_for_model(self.adapter.model)
        return {
            # By its key: it may live in another database than the row.
            "source_type_id": kind.pk,
            "source_id": str(self.host_order.pk),
        }


def placeholder_id(model: type[models.Model], key: object) -> str:
    """Return the id of a host order's row while the adapter gives it none."""
    return f"{model._meta.label_lower}:{key}"[:255]


def dismiss_placeholders(rows: Iterable[ButtonOrder]) -> None:
    """Dismiss the failed rows that host orders had while they had no id."""
    for _, group in by_model(rows):
        keys = [row.source_id for row in group if not row.is_acknowledged]
        dismiss_placeholders_of(group[0].source_type_id, keys, using=group[0]._state.db)


def dismiss_placeholders_of(
    source_type_id: int | None, source_ids: Iterable[str | None], *, using: str | None
) -> None:
    failed = ButtonOrder.objects.using(using).failed()
    of_those = {"source_type_id": source_type_id, "source_id__in": list(source_ids)}
    # Read first, because MySQL locks all that an UPDATE looks at.
    for stand_in in failed.filter(**of_those):
        model = stand_in.get_source_model()
        if model and stand_in.order_id == placeholder_id(model, stand_in.source_id):
            stand_in.dismiss("The order is reported by its own id.")


ACCOUNT_LENGTH = ButtonOrder._meta.get_field("account").max_length or 0


def refuse_long_account(identity: RowKey) -> None:
    """Raise ``ValidationError``: one row must not spoil its batch."""
    if len(identity.account) > ACCOUNT_LENGTH:
        identity.hook = "get_account"
        raise ValidationError(f"Enter at most {ACCOUNT_LENGTH} characters.")
