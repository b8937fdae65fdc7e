"""
What can go wrong between this app and Button, by what to do next.

::

    ButtonError
    ├── NotSentError     nothing was sent: repeat the request later
    └── NoAnswerError    Button may have acted on the request: ask before repeating it

An answer of Button, whatever its status, is not an exception. Bad data raises
Django's ``ValidationError``, and wrong settings ``ImproperlyConfigured``.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import requests
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
)
from urllib3.exceptions import TimeoutError as HTTPTimeoutError


class ButtonError(Exception):
    """Base of the errors below. Not raised itself."""


class NotSentError(ButtonError):
    """No byte of the request was sent, so Button cannot have seen it."""


class NoAnswerError(ButtonError):
    """The request may have been sent, and no complete answer came back in time."""


# What a call can raise besides ButtonError.
BUTTON_ERRORS = (requests.RequestException, HTTPError, OSError, ValueError)

UNUSABLE = "No request could be made. Check BASE_URL and API_VERSION."
TOO_LATE = "The deadline passed before anything was sent."
UNREACHABLE = "Button could not be reached."
# These are raised before anything is sent. The special ones come first, because
# NewConnectionError is a base of one of them and a ConnectTimeoutError itself.
NOT_SENT: dict[type[BaseException], str] = {
    ssl.SSLCertVerificationError: "Button's TLS certificate was not accepted.",
    NameResolutionError: "Button's host name could not be resolved.",
    NewConnectionError: UNREACHABLE,
    ConnectTimeoutError: "Connecting to Button timed out.",
}


def as_button_error(
    exc: BaseException, *, is_connecting: bool = False, is_late: bool = False
) -> NotSentError | NoAnswerError:
    """Return the error for a failed call. Unlike the original, it quotes no request."""
    causes = list(chain_of(exc))
    for kind, sentence in NOT_SENT.items():
        if any(isinstance(cause, kind) for cause in causes):
            return NotSentError(sentence)
    if is_connecting:
        return NotSentError(UNREACHABLE)
    if is_late or any(
        isinstance(each, TimeoutError | HTTPTimeoutError) for each in causes
    ):
        return NoAnswerError("Button did not answer in time.")
    return NoAnswerError("The connection to Button was lost before its answer.")


def chain_of(exc: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those that it wraps, at most ten of them."""
    for _ in range(10):
        yield exc
        # requests and urllib3 put them into different places.
        wrapped = [getattr(exc, "reason", None), *exc.args, exc.__context__]
        inner = [item for item in wrapped if isinstance(item, BaseException)]
        if not inner:
            return
        exc = inner[0]
