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


class ButtonError(Exception):
    """Base of the errors below. Not raised itself."""


class NotSentError(ButtonError):
    """No connection came about, so Button cannot have seen the request."""


class NoAnswerError(ButtonError):
    """The request was sent, and no complete answer came back in time."""
