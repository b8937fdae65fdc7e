"""Telling what went wrong without telling whose data it was."""

from __future__ import annotations

import traceback
from pathlib import PurePath

from django.core.exceptions import ValidationError

from django_button_orders.report.validation import as_line, make_storable


def describe_exception(exc: Exception, doing: str) -> str:
    """Return a sentence for the row: what was being done, what it raised, where."""
    if isinstance(exc, ValidationError):
        return make_storable(f"{doing}: {as_line(exc)}")
    return make_storable(
        f"{doing} raised {type(exc).__name__}{location(exc)}{message_of(exc)}"
    )


def is_time_limit(exc: Exception) -> bool:
    """Return whether a worker ran out of time, which is no fault of the order."""
    # By its name: only the tasks know Celery, and its pools have one each.
    return type(exc).__name__ == "SoftTimeLimitExceeded"


def message_of(exc: Exception) -> str:
    try:
        words = str(exc)
    except Exception:  # noqa: BLE001 - an exception may be as broken as any code
        words = ""
    return f": {words}" if words else ""


def describe_for_log(exc: BaseException) -> str:
    """
    Return what was raised and where, for a log.

    Without the message: it may quote a customer's data, and logs travel far.
    """
    return f"{type(exc).__name__}{location(exc)}"


def describe_for_list(exc: BaseException, doing: str = "") -> str:
    """
    Return what was raised and where, or which fields are not valid, and no values.

    For lists that more people look at than at an order.
    """
    words = [f"{doing}:"] if doing else []
    if isinstance(exc, ValidationError) and hasattr(exc, "error_dict"):
        return make_storable(
            " ".join([*words, "not valid:", ", ".join(exc.error_dict)])
        )
    return make_storable(" ".join([*words, describe_for_log(exc)]))


def location(exc: BaseException) -> str:
    frames = traceback.extract_tb(exc.__traceback__)
    if not frames:
        return ""
    path = PurePath(frames[-1].filename)
    return f" at {'/'.join(path.parts[-2:])}:{frames[-1].lineno}"
