"""A server on this machine that plays Button, and a row to report to it."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.test import TestCase, override_settings
from django.utils import timezone

from django_button_orders.conf import get_settings
from django_button_orders.delivery.sweep import report
from django_button_orders.models import ButtonOrder, PausedAccount
from tests.utils import create_row, make_due, seconds_from_now
from tests.wire import API_KEY, Received, Server, WireTestCase, replies


def wired(server: Server | str, **values: Any) -> dict[str, Any]:
    """Return BUTTON_ORDERS for a server on this machine."""
    return {
        "API_KEY": API_KEY,
        "BASE_URL": server if isinstance(server, str) else server.url,
        "DOORBELL": "none",
        "TIMEOUT": (2, 2),
        "DEADLINE": 5,
        **values,
    }


class RawRequest(NamedTuple):
    """A request, split into lines without a parser of HTTP."""

    line: bytes
    headers: list[bytes]
    body: bytes

    @property
    def names(self) -> list[bytes]:
        return sorted(header.partition(b":")[0].lower() for header in self.headers)


class Wiretap(Server):
    """A server that records all bytes it receives."""

    def __init__(self, data: bytes) -> None:
        self.raw = b""
        super().__init__(replies(data), tls=False, reads=True)

    def talk(self, sock: socket.socket, number: int) -> None:
        with sock:
            while data := sock.recv(65536):
                self.raw += data
                # Head and body of a request may arrive separately.
                if not self.is_within_a_body():
                    self.script(sock, Received(number, "", "", {}, b""))

    def is_within_a_body(self) -> bool:
        last = self.requests()[-1]
        return len(last.body) < length_of(last.headers)

    def requests(self) -> list[RawRequest]:
        found, rest = [], self.raw
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            line, *headers = head.split(b"\r\n")
            length = length_of(headers)
            found.append(RawRequest(line, headers, rest[:length]))
            rest = rest[length:]
        return found


def length_of(headers: list[bytes]) -> int:
    lengths = [
        int(header.partition(b":")[2])
        for header in headers
        if header.lower().startswith(b"content-length:")
    ]
    return sum(lengths)


class EndToEndTestCase(WireTestCase, TestCase):
    """Report rows over real connections, and check their states."""

    @contextmanager
    def button_at(self, server: Server | str, **values: Any):
        with override_settings(BUTTON_ORDERS=wired(server, **values)):
            yield

    def report(self, row: ButtonOrder, server: Server | str, **values: Any):
        """Make an attempt at a row, and check that the row is accounted for."""
        make_due()
        with self.button_at(server, **values):
            report(row.pk, using="default")
            row.refresh_from_db()
            self.check_is_accounted_for(row)
        return row

    def check_is_accounted_for(self, row: ButtonOrder) -> None:
        """Assert that a row is done, due at a known time, or failed with a reason."""
        assert (row.lease_token, row.lease_expires_at) == (None, None)
        if row.status == "pending":
            assert row.next_attempt_at is not None
            longest = get_settings().retry_after_max * 1.2
            assert seconds_from_now(row.next_attempt_at) <= longest
        else:
            assert row.status in ("reported", "cancelled") or row.reason
        assert row.updated_at <= timezone.now()

    def put(self, row: ButtonOrder, **values: Any) -> ButtonOrder:
        """Update the row's columns, past all validation."""
        ButtonOrder.objects.filter(pk=row.pk).update(**values)
        row.refresh_from_db()
        return row

    def create_for(self, operation: str, **values: Any) -> ButtonOrder:
        """Return the only row, prepared so that ``operation`` is its next call."""
        ButtonOrder.objects.all().delete()
        PausedAccount.objects.all().delete()
        states: dict[str, dict[str, Any]] = {
            "create": {},
            "update": {"reported_revision": 1},
            "cancel": {"reported_revision": 1, "cancel_requested_at": timezone.now()},
            # After an unanswered attempt, the next one begins with a GET.
            "retrieve": {"unanswered": 1},
        }
        row = create_row(order_id="to be replaced")
        return self.put(row, **{"order_id": "1994", **states[operation], **values})
