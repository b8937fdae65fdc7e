"""
What can go wrong between this app and Button, by what to do next.

::

    ButtonError
    ├── NotSentError     nothing left this machine: just try again later
    └── NoAnswerError    Button may have acted on it: ask before trying again

An answer of Button, whatever its status, is not an exception. Bad data is
Django's ``ValidationError``, wrong settings are ``ImproperlyConfigured``.
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

from django_button_orders.client.deadline import TooLateError


class ButtonError(Exception):
    """Base of the errors below. Not raised itself."""


class NotSentError(ButtonError):
    """No connection came about, so Button cannot have seen the request."""


class NoAnswerError(ButtonError):
    """The request was sent, and no complete answer came back in time."""


# What can go wrong with a request.
BUTTON_ERRORS = (requests.RequestException, HTTPError, OSError, ValueError)


def as_button_error(exc: BaseException) -> NotSentError | NoAnswerError:
    """Say in one sentence what happened. The original may quote the request."""
    if isinstance(exc, requests.exceptions.InvalidURL | UnicodeEncodeError):
        return NotSentError(UNUSABLE)
    causes = list(chain_of(exc))
    for kind, sentence in NOT_SENT.items():
        if any(isinstance(cause, kind) for cause in causes):
            return NotSentError(sentence)
    if any(isinstance(cause, TimeoutError | HTTPTimeoutError) for cause in causes):
        return NoAnswerError("Button did not answer in time.")
    return NoAnswerError("The connection to Button was lost before its answer.")


UNUSABLE = "No request could be made. Check BASE_URL and API_VERSION."
# From the special to the general: urllib3 counts two of them as the last.
NOT_SENT: dict[type[BaseException], str] = {
    ssl.SSLCertVerificationError: "Button's TLS certificate was not accepted.",
    NameResolutionError: "Button's host name could not be resolved.",
    NewConnectionError: "Button could not be reached.",
    ConnectTimeoutError: "Connecting to Button timed out.",
    TooLateError: "The deadline passed before anything was sent.",
}


def chain_of(exc: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it wraps, which requests keeps in odd places."""
    for _ in range(10):
        yield exc
        wrapped = [getattr(exc, "reason", None), *exc.args, exc.__context__]
        inner = [item for item in wrapped if isinstance(item, BaseException)]
        if not inner:
            return
        exc = inner[0]
