"""Doing to orders what was asked for, and saying what has come of it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db import DatabaseError, router
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_button_orders.admin.verbs import Verb
from django_button_orders.models import ButtonOrder
from django_button_orders.operations import orders

# More than that are left to workers: nobody waits for a page so long.
MOST_AT_ONCE = 1000


def move(verb: Verb, pks: list[int], *, user_id: Any, note: str) -> tuple[str, int]:
    """Do it now, or have workers do it. Return a message and its level."""
    options = {
        # Not where the list was read from, which may be a replica.
        "using": router.db_for_write(ButtonOrder),
        "user_id": user_id,
        "note": note,
    }
    if len(pks) > MOST_AT_ONCE:
        return move_later(verb, pks, **options)
    try:
        moved = orders.run_action(verb.name, pks, **options)
    except DatabaseError:
        text = _(
            "The database is busy, so not all of it was done. Look at the list, "
            "and do the rest again."
        )
        return text, messages.ERROR
    return verb.describe(moved, skipped=len(pks) - moved)


def move_later(verb: Verb, pks: list[int], **options: Any) -> tuple[str, int]:
    count = len(pks)
    what = ngettext("%(verb)s: %(count)d order", "%(verb)s: %(count)d orders", count)
    what %= {"verb": verb.label, "count": count}
    told = orders.queue_action(verb.name, pks, what=what, **options)
    if told == count:
        text = ngettext(
            "%(count)d order is being seen to in the background. The list shows how "
            "far that is, and the history of the order who has asked for it.",
            "%(count)d orders are being seen to in the background. The list shows how "
            "far that is, and the history of each order who has asked for it.",
            count,
        )
        return text % {"count": count}, messages.SUCCESS
    if not told:
        text = _(
            "Nothing was done: Celery's broker cannot be reached, and so many orders "
            "are left to workers. Try again when it is back."
        )
        return text, messages.ERROR
    text = _(
        "Only %(told)d of %(count)d orders are being seen to in the background. Then "
        "Celery's broker could not be reached any more, and the others stay as they "
        "are. Try again when it is back."
    )
    return text % {"told": told, "count": count}, messages.ERROR
