"""
Send what ``causes`` finds to the addresses of ``ALERTS``, by Django's mail.

A database sends at most one message a day about each cause. The message is marked as
sent before it is sent, so that no other process sends it, too. If the mail server
refuses it, the mark is removed, and the next look sends it. A process that dies in
between loses the message of that day.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import mail
from django.utils.translation import gettext as _
from django.utils.translation import override

from django_button_orders.conf import alert_addresses, this_site
from django_button_orders.models.alerts import INTERVAL, SentAlert
from django_button_orders.monitoring.causes import (
    CAUSES,
    Cause,
    Look,
    describe_time,
    reporting_accounts,
)
from django_button_orders.monitoring.snapshot import database_time
from django_button_orders.printable import get_logger, printable
from django_button_orders.report.privacy import describe_for_log, is_time_limit

logger = get_logger(__name__)

# For each step of a dialogue with the mail server, where the shop has set no timeout.
MAIL_TIMEOUT_SECONDS = 10
PAGE = "https://django-button-orders.readthedocs.io/en/latest/howto/alerts.html"


def send_alerts(using: str) -> None:
    """
    Look for each cause that no message of today was about, and send what is found.

    Raises nothing if the mail server fails: the next look sends the message.
    """
    addresses = alert_addresses()
    accounts = reporting_accounts() if addresses else []
    if not accounts:
        return
    now = database_time(using)
    sent = SentAlert.objects.using(using).last_messages()
    with override(settings.LANGUAGE_CODE):
        for cause in CAUSES:
            last = sent.get(cause.code)
            if last is not None and last > now - INTERVAL:
                continue
            look = Look(using=using, now=now, last=last, accounts=accounts)
            lines = list(cause.find(look))
            # The other messages would wait for the same mail server.
            if lines and not send_once(cause, lines, look, addresses):
                break


def send_once(
    cause: Cause, lines: list[str], look: Look, addresses: Sequence[str]
) -> bool:
    """Send a message, unless another process does. Return False if that failed."""
    alerts = SentAlert.objects.using(look.using)
    if not alerts.claim(cause.code, now=look.now):
        return True
    try:
        mail_connection().send_messages([write(cause, lines, look, addresses)])
    except Exception as exc:
        alerts.release(cause.code, now=look.now, last=look.last)
        if is_time_limit(exc):
            raise
        # The message of the exception may have an address.
        logger.error(
            "Database %s: the alert %s was not sent: %s. The next look sends it.",
            look.using,
            cause.code,
            describe_for_log(exc),
        )
        return False
    return True


def mail_connection() -> Any:
    """Return Django's connection to the mail server, with a timeout."""
    # Since Django 6.1, get_connection() is deprecated.
    mailers = getattr(mail, "mailers", None)
    connection: Any = mail.get_connection() if mailers is None else mailers.default
    if getattr(connection, "timeout", 0) is None:
        connection.timeout = MAIL_TIMEOUT_SECONDS
    return connection


def write(
    cause: Cause, lines: list[str], look: Look, addresses: Sequence[str]
) -> mail.EmailMessage:
    """Return the message about a cause. The names in it fit one line each."""
    place = printable(this_site() or socket.gethostname())
    footer = _(
        "Database %(alias)s, %(time)s. There is at most one message a day about this "
        "cause. The setting ALERTS lists the addresses."
    )
    paragraphs = [
        f"{cause.title}.",
        "\n".join(f"* {line}" for line in lines),
        str(cause.todo),
        footer % {"alias": look.using, "time": describe_time(look.now)},
        f"{PAGE}#{cause.code.replace('_', '-')}",
    ]
    return mail.EmailMessage(
        subject=f"[button-orders] {place}: {cause.title}",
        body="\n\n".join(paragraphs) + "\n",
        to=list(addresses),
        # So that nobody's out-of-office message answers.
        headers={"Auto-Submitted": "auto-generated"},
    )
