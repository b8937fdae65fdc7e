"""
What the app stores about customers, as tables made from the models.

The fields come from the models, with their help texts. What a field holds of a person
is decided here: ``tests/test_personal_data.py`` fails until a new field is in one of
the two lists, and compares the last column with what ``erase()`` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import models

from django_button_orders.conf import FIELDS as SETTINGS

APP = "django_button_orders"


class Rule(NamedTuple):
    """How long a field is kept, and what erasing a customer does to it."""

    kept: str
    erasing: str


ALWAYS = "Always"
PERSONAL = "``KEEP_PERSONAL_DAYS``"
BODIES = "``KEEP_BODIES_DAYS``"
CALLS = "``KEEP_SUBMISSIONS_DAYS``"
STAYS, EMPTIED, AMOUNTS = "Stays", "Emptied", "Keeps amounts and articles"
DELETED = "Deleted"

RULES: dict[str, Rule] = {
    "ButtonOrder.order_id": Rule(ALWAYS, STAYS),
    "ButtonOrder.source_id": Rule(ALWAYS, STAYS),
    "ButtonOrder.button_order_id": Rule(ALWAYS, STAYS),
    "ButtonOrder.customer": Rule(PERSONAL, EMPTIED),
    "ButtonOrder.email_sha256": Rule(PERSONAL, EMPTIED),
    "ButtonOrder.customer_order_id": Rule(PERSONAL, EMPTIED),
    "ButtonOrder.line_items": Rule(PERSONAL, AMOUNTS),
    "ButtonOrder.btn_ref": Rule(PERSONAL, EMPTIED),
    "ButtonOrder.reported_btn_ref": Rule(PERSONAL, EMPTIED),
    "ButtonOrder.reported_digest": Rule(ALWAYS, STAYS),
    "ButtonOrder.last_error": Rule("Until the next attempt", EMPTIED),
    "Submission.url": Rule(CALLS, STAYS),
    "Submission.request_body": Rule(BODIES, EMPTIED),
    "Submission.response_body": Rule(BODIES, EMPTIED),
    "Submission.error": Rule(CALLS, EMPTIED),
    "Submission.user": Rule(CALLS, STAYS),
    "Difference.order_id": Rule(CALLS, STAYS),
    "Difference.source_id": Rule(CALLS, STAYS),
    "Difference.values": Rule(CALLS, EMPTIED),
    "Difference.error": Rule(CALLS, EMPTIED),
    "AttributionToken.source_id": Rule("Until its Button order is erased", DELETED),
    "AttributionToken.btn_ref": Rule("Until its Button order is erased", DELETED),
    "Checkpoint.errors": Rule("Until the backfill is complete", STAYS),
    "PausedAccount.last_error": Rule("Until the account is resumed", STAYS),
}
# These hold nothing about a customer.
OTHERS = {
    "ButtonOrder": (
        "account",
        "currency",
        "partner_order_channel",
        "status",
        "reason",
        "site",
        "erased_digest",
    ),
    "Submission": ("operation", "trigger", "method", "outcome"),
    "Difference": ("side", "kind", "account"),
    "Checkpoint": ("name", "position", "counts"),
    "QueuedAction": ("action", "keys"),
    "CallRate": ("account",),
    "PausedAccount": ("account",),
    "SentAlert": ("cause",),
    "Snapshot": ("figures",),
    "SubmissionHour": ("durations",),
}


def fields() -> Iterator[tuple[str, models.Field[Any, Any]]]:
    """Yield the fields of our models that can hold anything about a person."""
    for model in apps.get_app_config(APP).get_models():
        for item in model._meta.concrete_fields:
            is_text = isinstance(
                item,
                models.CharField
                | models.TextField
                | models.JSONField
                | models.GeneratedField,
            )
            if is_text or item.related_model is get_user_model():
                yield f"{model.__name__}.{item.name}", item


def table() -> list[str]:
    """Return a table of the fields that can hold personal data."""
    lines = [
        ".. list-table::",
        "   :header-rows: 1",
        "   :widths: 27 38 20 15",
        "",
        "   * - Field",
        "     - Content",
        "     - Kept",
        "     - Erasing",
    ]
    for name, item in fields():
        if name in RULES:
            rule = RULES[name]
            lines += [
                f"   * - ``{name}``",
                f"     - {item.help_text}",
                f"     - {with_days(rule.kept)}.",
                f"     - {rule.erasing}.",
            ]
    return [*lines, ""]


def with_days(kept: str) -> str:
    """Return how long a field is kept, with the default of its setting."""
    name = kept.strip("`")
    if name not in SETTINGS:
        return kept
    default = SETTINGS[name].default
    return f"{kept} ({'always' if default is None else default})"


def others() -> list[str]:
    """Return a sentence with the text fields that hold nothing about a customer."""
    names = [f"``{model}.{name}``" for model in OTHERS for name in OTHERS[model]]
    return [f"These text fields hold nothing about a customer: {', '.join(names)}.", ""]
