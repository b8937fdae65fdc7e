"""Backends of Django's mail that fail, and how tests choose a backend."""

from __future__ import annotations

from smtplib import SMTPRecipientsRefused
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.test import override_settings


class RefusingBackend(BaseEmailBackend):
    """A mail server that refuses the addresses, and quotes them."""

    def send_messages(self, messages: Any) -> int:
        raise SMTPRecipientsRefused({"ops@shop.com": (550, b"No such user")})


class StoppedBackend(BaseEmailBackend):
    """A mail server that is so slow that Celery stops the task."""

    def send_messages(self, messages: Any) -> int:
        raise SoftTimeLimitExceeded


class PatientBackend(BaseEmailBackend):
    """A mail server without a timeout of the shop. It shows the timeout it got."""

    timeout = None

    def send_messages(self, messages: Any) -> int:
        for message in messages:
            message.extra_headers["Timeout"] = str(self.timeout)
            mail.outbox.append(message)
        return len(messages)


def mail_backend(name: str) -> Any:
    """Return settings with a backend of this module."""
    path = f"{__name__}.{name}"
    if hasattr(mail, "mailers"):
        return override_settings(MAILERS={"default": {"BACKEND": path}})
    return override_settings(EMAIL_BACKEND=path)
