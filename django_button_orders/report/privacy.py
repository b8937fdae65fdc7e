"""Describe errors without telling whose data they are about."""

from __future__ import annotations

import re
import sysconfig
import traceback
from pathlib import PurePath
from types import FrameType

from django.core.exceptions import ValidationError

from django_button_orders.report.validation import as_line, make_storable

# The folders of packages that pip, or Debian, installs, and that of Python's own.
INSTALLED = {"site-packages", "dist-packages"}
STDLIB = PurePath(sysconfig.get_path("stdlib"))
# ``FOREIGN_MESSAGE`` would not find the end of a name or a place with one of these.
NOT_IN_NAME = re.compile(r"\W")
NOT_IN_PLACE = re.compile(r"[:\n]")
# What others than this package say in an error that describe_exception() has described.
FOREIGN_MESSAGE = re.compile(r"(?<= raised )(\w+(?: at [^:\n]*:\d+)?): .*", re.DOTALL)


def describe_exception(exc: Exception, doing: str) -> str:
    """
    Return an error for the row of an order, with its message.

    ``doing`` is what has raised it, such as "ShopOrderAdapter.build".
    """
    if isinstance(exc, ValidationError) and is_ours(exc):
        # Our own rules quote no values.
        return make_storable(f"{doing}: {as_line(exc)}")
    raised = f"{describe_for_log(exc)}{message_of(exc)}"
    return make_storable(f"{doing} raised {raised}")


def without_quotes(error: str) -> str:
    """
    Return an error that ``describe_exception`` has described, without its message.

    The message of an error of the shop's code may quote a customer's data.
    """
    return FOREIGN_MESSAGE.sub(r"\1.", error)


def is_ours(exc: Exception) -> bool:
    """Return whether this package has raised an error, or nobody has yet."""
    frames = [frame for frame, _ in traceback.walk_tb(exc.__traceback__)]
    return not frames or is_of_package(frames[-1])


def is_of_package(frame: FrameType) -> bool:
    """Return whether a frame runs code of this package."""
    package = __name__.partition(".")[0]
    return str(frame.f_globals.get("__name__")).partition(".")[0] == package


def describe_for_log(exc: BaseException) -> str:
    """
    Return the type and place of an error, for logs.

    The message is left out, because it may quote a customer's data, and logs are
    copied to many places.
    """
    return f"{NOT_IN_NAME.sub('_', type(exc).__name__)}{location(exc)}"


def describe_for_list(exc: BaseException, doing: str = "") -> str:
    """
    Return the type and place of an error, or the names of the invalid fields.

    Values are left out, because more people read lists than single orders.
    """
    words = describe_for_log(exc)
    if isinstance(exc, ValidationError) and hasattr(exc, "error_dict"):
        words = f"not valid: {', '.join(exc.error_dict)}"
    return make_storable(f"{doing}: {words}" if doing else words)


def describe_for_author(exc: BaseException, doing: str) -> str:
    """
    Return an error for the author of an adapter: what is wrong, and in which line.

    The message of an error that is not ours is left out, as in ``describe_for_list``.
    All orders with one mistake get the same text.
    """
    if not isinstance(exc, ValidationError) or not is_ours(exc):
        return describe_for_list(exc, doing)
    frames = [frame for frame, _ in traceback.walk_tb(exc.__traceback__)]
    place = "" if all(map(is_of_package, frames)) else location(exc)
    message = re.sub(r"\bLine \d+:", "A line:", as_line(exc))
    return make_storable(f"{doing}{place}: {message}")


def is_time_limit(exc: Exception) -> bool:
    """Return whether Celery has stopped a task, which is no error of the order."""
    # It is known by its name, because only ``tasks`` may import Celery.
    return type(exc).__name__ == "SoftTimeLimitExceeded"


def message_of(exc: Exception) -> str:
    """Return ": " and the message of an exception, or ""."""
    try:
        words = as_line(exc) if isinstance(exc, ValidationError) else str(exc)
    except Exception:  # noqa: BLE001 - the __str__ of an exception may raise, too
        words = ""
    return f": {words}" if words else ""


def is_installed(frame: FrameType) -> bool:
    """Return whether a frame runs code of an installed package or of Python."""
    path = PurePath(frame.f_code.co_filename)
    return not INSTALLED.isdisjoint(path.parts) or STDLIB in path.parents


def location(exc: BaseException) -> str:
    """
    Return the file and line that have raised an exception, as " at shop/x.py:7".

    If this package has refused a value, or an installed one such as Django has raised
    the exception, it is the line of the shop that called them.
    """
    frames = list(traceback.walk_tb(exc.__traceback__))
    if not frames:
        return ""
    others = [item for item in frames if not is_of_package(item[0])]
    shop = [item for item in others if not is_installed(item[0])]
    frame, line = (shop or others or frames)[-1]
    path = PurePath(frame.f_code.co_filename)
    return f" at {NOT_IN_PLACE.sub('_', '/'.join(path.parts[-2:]))}:{line}"
