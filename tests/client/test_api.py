from __future__ import annotations

import base64
import gzip
import json
import logging
import os
import pickle
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import warnings
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from django.test import SimpleTestCase
from urllib3.exceptions import NameResolutionError

from django_button_orders.client.api import (
    Answer,
    ButtonClient,
    cancel_order,
    create_order,
    encode,
    parse_retry_after,
    retrieve_order,
    update_order,
)
from django_button_orders.client.exceptions import (
    ButtonError,
    NoAnswerError,
    NotSentError,
    as_button_error,
)
from tests.wire import (
    BASIC,
    OK,
    WireTestCase,
    answer,
    head,
    replies,
    replies_and_closes,
    self_signed,
)

PAYLOAD = {"order_id": "1994", "total": 7000}
CREATE = create_order(PAYLOAD)
RETRIEVE = retrieve_order("1994")
CANCEL = cancel_order("1994")
BOMB = gzip.compress(b" " * 2**26)
GONE = "The connection to Button was lost before its answer."
LATE = "Button did not answer in time."
NOW = "Sun, 01 Nov 2026 12:00:00 GMT"


@contextmanager
def bounded_memory():
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


@contextmanager
def trusting(path):
    """Let requests trust a certificate, by the file that it looks into."""
    with patch("requests.adapters.DEFAULT_CA_BUNDLE_PATH", path):
        yield


@contextmanager
def ignored(category):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category)
        yield


@contextmanager
def full_backlog():
    """Yield the address of a machine that does not answer at all."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for sock in waiting:
                sock.close()


class RequestTests(SimpleTestCase):
    def test_operations(self):
        body = b'{"order_id":"1994","total":7000}'

        assert create_order(PAYLOAD) == ("POST", "/v1/order", body)
        assert update_order("1994", PAYLOAD) == ("POST", "/v1/order/1994", body)
        assert cancel_order("1994") == ("DELETE", "/v1/order/1994", None)
        assert retrieve_order("1994") == ("GET", "/v1/order/1994", None)

    def test_body_is_ascii(self):
        body = encode({"id": "é\U0001f600"})

        assert body.isascii()
        assert json.loads(body) == {"id": "é\U0001f600"}

    def test_body_is_json(self):
        for number in (float("nan"), float("inf")):
            with self.subTest(number=number), pytest.raises(ValueError, match="JSON"):
                create_order({"total": number})


class PathTests(WireTestCase):
    table = {
        "1994": "1994",
        "2026/11 #42": "2026%2F11%20%2342",
        "a?b%2F": "a%3Fb%252F",
        "..a": "..a",
        "a/../b": "a%2F..%2Fb",
        "/../": "%2F..%2F",
        "...": "...",
        "%2e%2e": "%252e%252e",
        "a+b&c=d;e": "a%2Bb%26c%3Dd%3Be",
        "a:b@c": "a%3Ab%40c",
        "\\": "%5C",
        "~-._": "~-._",
        '"<>[]^`{|}': "%22%3C%3E%5B%5D%5E%60%7B%7C%7D",
        " ": "%20",
        "x" * 255: "x" * 255,
    }

    def test_encoded(self):
        """On the wire: requests and urllib3 rewrite addresses, too."""
        server = self.serve()
        client = self.button(server)
        for make in (cancel_order, retrieve_order, lambda at: update_order(at, {})):
            for order_id, path in self.table.items():
                with self.subTest(order_id=order_id):
                    client.send(make(order_id))

                    assert server.received[-1].target == f"/v1/order/{path}"

    def test_base_url(self):
        server = self.serve()
        for suffix in ("", "/", "//"):
            with self.subTest(suffix=suffix):
                self.button(server.url + suffix).send(CREATE)

                assert server.received[-1].target == "/v1/order"

    def test_prefix(self):
        server = self.serve()

        self.button(f"{server.url}/proxy/").send(CREATE)

        assert server.received[0].target == "/proxy/v1/order"

    def test_url(self):
        assert (
            ButtonClient(api_key="").url(CREATE).startswith("https://api.usebutton.com")
        )


class HeaderTests(WireTestCase):
    def headers(self, request=CREATE, **values):
        server = self.serve()
        self.button(server, **values).send(request)
        return server.received[0].headers

    def test_all(self):
        headers = self.headers()

        assert headers.pop("user-agent").startswith("django-button-orders")
        assert headers.pop("host").startswith("127.0.0.1:")
        assert headers == {
            "authorization": f"Basic {BASIC}",
            "accept": "application/json, text/plain",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "content-length": "32",
        }

    def test_key_of_all_characters(self):
        key = "".join(map(chr, range(33, 127))).replace(":", "")

        scheme, credentials = self.headers(api_key=key)["authorization"].split()

        assert scheme == "Basic"
        assert base64.b64decode(credentials).decode() == f"{key}:"

    def test_content_type_only_with_a_body(self):
        for request in (CANCEL, RETRIEVE):
            with self.subTest(request=request):
                assert "content-type" not in self.headers(request)

    def test_version(self):
        headers = self.headers(api_version="2018-02-13")

        assert headers["x-button-api-version"] == "2018-02-13"
        assert "x-button-api-version" not in self.headers()

    def test_body(self):
        server = self.serve()

        self.button(server).send(CREATE)

        assert server.received[0].method == "POST"
        assert json.loads(server.received[0].body) == PAYLOAD

    def test_no_cookies(self):
        server = self.serve(answer(set_cookie="session=1; Path=/"))
        client = self.button(server)

        client.send(CREATE)
        client.send(CREATE)

        assert len(server.received) == 2
        assert "cookie" not in server.received[1].headers


class AnswerTests(WireTestCase):
    def answer(self, *args, **kwargs):
        return self.button(self.serve(answer(*args, **kwargs))).send(CREATE)

    def test_order(self):
        found = self.answer()

        assert found.status_code == 200
        assert found.is_ok
        assert found.order == {"button_order_id": "btnorder-1"}
        assert found.body == OK.decode()
        assert found.message == ""

    def test_accepted(self):
        table = [
            {"body": OK, "status": 201},
            {"body": b'{"meta": {"status": "ok"}}', "status": 202},
            {"body": b'{"meta": {"status": "ok"}, "object": null}'},
            {"body": b'{"meta": {"status": "ok"}, "object": [1]}', "status": 202},
            {"body": b"Accepted", "status": 202, "content_type": "text/plain"},
            {"body": b"", "status": 202},
            {"body": b"", "status": 200, "content_type": "text/plain"},
            {"body": b"  \r\n", "status": 200},
            {"body": b"", "status": 204},
            {"body": b"\xef\xbb\xbf" + OK},
            {"body": b" \n" + OK + b"\n"},
            {"body": OK, "content_type": "text/plain"},
            {"body": OK, "content_type": "APPLICATION/JSON; charset=utf-8"},
            {"body": b'{"meta": {"status": "error"}, "meta": {"status": "ok"}}'},
        ]
        for values in table:
            with self.subTest(**values):
                found = self.answer(**values)

                assert found.is_ok is True
                assert found.status_code == values.get("status", 200)
                assert isinstance(found.order, dict)

    def test_not_accepted(self):
        table = [
            {"body": b'{"meta": {"status": "error"}}'},
            {"body": b'{"meta": {"status": "error"}}', "content_type": "text/plain"},
            {"body": b"{}"},
            {"body": b"[]"},
            {"body": b'[{"meta": {"status": "ok"}}]'},
            {"body": b'"ok"'},
            {"body": b"null"},
            {"body": b"Accepted"},
            {"body": OK[:-1]},
            {"body": OK + b"}"},
            {"body": b"[" * 60_000},
            {"body": b'{"a":' * 13_000},
            {"body": b"9" * 5000},
            {"body": b"\xff\xfe" + OK.decode().encode("utf-16-le")},
            {"body": b"<html>ok</html>", "content_type": "text/plain"},
            {"body": b" \n<!doctype html>", "content_type": ""},
            {"body": b"\xef\xbb\xbf<html>", "content_type": "text/plain"},
            {"body": OK, "content_type": "text/html; charset=utf-8"},
            {"body": OK, "content_type": "application/xhtml+xml"},
            {"body": b"", "content_type": "text/html"},
            {"body": OK, "status": 400},
            {"body": OK, "status": 500},
            {"body": OK, "status": 302},
        ]
        for values in table:
            with self.subTest(**values):
                assert self.answer(**values).is_ok is False

    def test_broken_text_can_be_kept(self):
        for body in (b"a\xff\xfe", b"a\0\0", b"a\xed\xa0\x80", b"a\xc3"):
            with self.subTest(body=body):
                text = self.answer(body, status=202, content_type="text/plain").body

                assert text.startswith("a\ufffd")
                assert "\0" not in text
                assert text.encode()

    def test_null_character_in_json(self):
        found = self.answer(b'{"meta": {"status": "ok\0"}}')

        assert found.is_ok is False
        assert "\0" not in found.body

    def test_words_of_button(self):
        table = [
            (b'{"error": {"message": "No such order."}}', "No such order."),
            (b'{"error": "No."}', "No."),
            (b'{"error": {"message": {"a": 1}}}', ""),
            (b'{"error": ["No."]}', ""),
            (b"[1]", ""),
            (b"", ""),
        ]
        for body, message in table:
            with self.subTest(body=body):
                assert self.answer(body, status=400).message == message

    def test_any_status(self):
        for status in (200, 299, 400, 401, 418, 429, 500, 599, 600, 999):
            with self.subTest(status=status):
                found = self.answer(status=status)

                assert found.status_code == status
                assert found.is_success is (status < 300)

    def test_continue_is_not_the_answer(self):
        found = self.button(self.serve(head(100) + answer(status=202))).send(CREATE)

        assert found.status_code == 202

    def test_until_closed(self):
        """An answer may come without a length and end with the connection."""
        script = replies_and_closes(head(content_type="application/json") + OK)

        assert self.button(self.serve(script)).send(CREATE).is_ok

    def test_chunked(self):
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(OK), OK)
        data = head(transfer_encoding="chunked", content_type="application/json")

        assert self.button(self.serve(data + chunks)).send(CREATE).is_ok

    def test_compressed_against_our_wish(self):
        deflated = zlib.compress(OK)
        for body, coding in ((gzip.compress(OK), "gzip"), (deflated, "deflate")):
            with self.subTest(coding=coding):
                found = self.answer(body, content_encoding=coding)

                assert found.is_ok
                assert found.order

    def test_compressed_and_cut(self):
        for body in (gzip.compress(OK)[:-1], zlib.compress(OK)[:-1]):
            with self.subTest(body=body):
                assert self.answer(body, content_encoding="gzip").data is None

    def test_compressed_in_another_way(self):
        for coding in ("br", "gzip, gzip", "nonsense"):
            with self.subTest(coding=coding):
                found = self.answer(b"\x8b\x02\x80", content_encoding=coding)

                assert found.status_code == 200
                assert (found.body, found.data) == ("", None)
                # It may say anything.
                assert not found.is_ok

    def test_identity(self):
        for coding in ("identity", "IDENTITY", ""):
            with self.subTest(coding=coding):
                assert self.answer(content_encoding=coding).is_ok


class RetryAfterTests(WireTestCase):
    def parse(self, asked, **headers):
        return parse_retry_after({"Retry-After": asked, "Date": NOW, **headers})

    def test_seconds(self):
        for text, seconds in {"0": 0, "7": 7, " 120 ": 120, "007": 7}.items():
            with self.subTest(text=text):
                assert self.parse(text) == seconds

    def test_date(self):
        table = {
            "Sun, 01 Nov 2026 12:01:30 GMT": 90,
            "Sunday, 01-Nov-26 12:01:30 GMT": 90,
            "Sun, 01 Nov 2026 14:01:30 +0200": 90,
            NOW: 0,
            "Sun, 01 Nov 2026 11:00:00 GMT": 0,
            "Thu, 01 Jan 1970 00:00:00 GMT": 0,
        }
        for text, seconds in table.items():
            with self.subTest(text=text):
                assert self.parse(text) == seconds

    def test_date_without_a_time_zone(self):
        """The oldest form of dates in HTTP is in UTC, wherever the shop is."""
        for text in ("Sun Nov  1 12:01:30 2026", "Sun, 01 Nov 2026 12:01:30 -0000"):
            with self.subTest(text=text):
                assert self.parse(text) == 90

    def test_date_without_a_clock_of_buttons(self):
        for now in ("", "garbage", "9" * 5000):
            with self.subTest(now=now):
                assert self.parse("Sun, 01 Nov 2020 12:00:00 GMT", Date=now) == 0
                assert self.parse("Fri, 01 Nov 2999 12:00:00 GMT", Date=now) > 10**9

    def test_garbage(self):
        garbage = ["", " ", "soon", "-5", "+5", "1.5", "1e3", "0x10", "5, 10", "²", "٣"]
        garbage += ["NaN", "inf", ",", "Sun,", "a" * 5000, "Mon, 99 Foo 2026 99:99:99"]
        garbage += ["Sun, 01 Nov 99999 00:00:00 GMT", "1 1 1 1 1 1 1", "\x00"]
        garbage += [f"Sun, 01 Nov 2026 12:00:00 +{'9' * 20}", "5 seconds", ":::"]
        for text in garbage:
            with self.subTest(text=text):
                assert self.parse(text) is None

    def test_huge(self):
        for text in ("9" * 12, "9" * 5000):
            with self.subTest(text=text):
                assert self.parse(text) == 999999999999

    def test_reset_of_the_limit(self):
        assert parse_retry_after({"X-Button-Limit-Reset-Seconds": "30"}) == 30
        assert parse_retry_after({"X-Button-Limit-Reset-Seconds": "soon"}) is None

    def test_longer_of_both(self):
        for asked, reset in (("5", "30"), ("30", "5"), ("30", "x"), ("x", "30")):
            with self.subTest(asked=asked, reset=reset):
                headers = {"X-Button-Limit-Reset-Seconds": reset}

                assert self.parse(asked, **headers) == 30

    def test_absent(self):
        assert parse_retry_after({}) is None

    def test_from_the_wire(self):
        for status in (200, 429, 503):
            server = self.serve(answer(status=status, retry_after=7))
            with self.subTest(status=status):
                assert self.button(server).send(CREATE).retry_after == 7

    def test_long_header_from_the_wire(self):
        server = self.serve(answer(status=429, Retry_After="9" * 5000))

        assert self.button(server).send(CREATE).retry_after == 999999999999


class LimitTests(WireTestCase):
    def send(self, script, limit=1000, **values):
        client = self.button(self.serve(script), max_response_bytes=limit, **values)
        return client.send(CREATE)

    def test_just_fits(self):
        body = OK.ljust(1000)

        found = self.send(answer(body))

        assert found.is_ok
        assert len(found.body) == 1000

    def test_one_byte_more(self):
        """It is cut and not parsed, and the status alone counts."""
        for status in (200, 400):
            with self.subTest(status=status):
                found = self.send(answer(OK.ljust(1001), status=status))

                assert len(found.body) == 1000
                assert found.data is None
                assert found.is_ok is (status == 200)

    def test_cut_error(self):
        """What there is of its envelope says that it is none."""
        body = b'{"meta": {"id": "1", "status": "error"}, "error": "' + b"x" * 1000

        assert self.send(answer(body, content_type="application/json")).is_ok is False

    def test_cut_html(self):
        found = self.send(answer(b"<html>" * 1000, content_type="text/plain"))

        assert found.is_ok is False

    def test_cut_inside_a_character(self):
        found = self.send(answer("é".encode() * 1000), limit=999)

        assert found.body == "é" * 499 + "\ufffd"

    def test_endless_body(self):
        def script(sock, received):
            sock.sendall(head(content_type="text/plain"))
            while True:
                sock.sendall(b"x" * 65536)

        with self.within(2):
            found = self.send(script)

        assert found.body == "x" * 1000

    def test_endless_chunks(self):
        def script(sock, received):
            sock.sendall(head(transfer_encoding="chunked"))
            while True:
                sock.sendall(b"5\r\nxxxxx\r\n")

        with self.within(2):
            assert self.send(script).body == "x" * 1000

    def test_endless_head(self):
        def script(sock, received):
            sock.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                sock.sendall(b"X-More: more\r\n" * 100)

        with self.within(2), pytest.raises(NoAnswerError, match=GONE):
            self.send(script)

    def test_endless_line(self):
        def script(sock, received):
            while True:
                sock.sendall(b"x" * 65536)

        with self.within(2), pytest.raises(NoAnswerError, match=GONE):
            self.send(script)

    def test_gigantic_body(self):
        data = head(content_length=2**29, content_type="text/plain") + b"x" * 2**20

        with self.within(2):
            assert len(self.send(data).body) == 1000

    def test_bombs(self):
        for coding, body in (("gzip", BOMB), ("deflate", zlib.compress(b" " * 2**26))):
            server = self.serve(answer(body, content_encoding=coding))
            client = self.button(server, max_response_bytes=2**17)
            with self.subTest(coding=coding), bounded_memory():
                found = client.send(CREATE)

                assert len(found.body) == 2**17
                assert found.data is None

    def test_bomb_in_a_bomb(self):
        body = gzip.compress(BOMB)
        server = self.serve(answer(body, content_encoding="gzip, gzip"))

        with bounded_memory():
            found = self.button(server).send(CREATE)

        assert found.data is None
        assert len(found.body) <= 65536

    def test_answer_after_a_cut_one(self):
        script = replies(answer(b"x" * 100_000), answer())
        client = self.button(self.serve(script), max_response_bytes=1000)

        client.send(CREATE)

        assert client.send(CREATE).order


class DeadlineTests(WireTestCase):
    def late(self, server, request=CREATE, **values):
        client = self.button(server, deadline=0.5, **values)
        with self.within(1), pytest.raises(ButtonError) as caught:
            client.send(request)
        return caught.value

    def drip(self, slow, at_once=b"", **options):
        def script(sock, received):
            sock.sendall(at_once)
            server.drip(sock, slow)

        server = self.serve(script, **options)
        return server

    def test_silence(self):
        error = self.late(self.serve(lambda sock, received: None))

        assert str(error) == LATE
        assert type(error) is NoAnswerError

    def test_dripping_status_line(self):
        assert str(self.late(self.drip(answer()))) == LATE

    def test_dripping_head(self):
        lines = (b"X-More: %d\r\n" % number for number in range(1000))

        error = self.late(self.drip(lines, at_once=b"HTTP/1.1 200 OK\r\n"))

        assert str(error) == LATE

    def test_dripping_body(self):
        for headers in ({"content_length": 1000}, {}):
            with self.subTest(headers=headers):
                server = self.drip(b"x" * 1000, at_once=head(**headers))

                assert str(self.late(server)) == LATE

    def test_dripping_chunks(self):
        at_once = head(transfer_encoding="chunked")
        chunks = (b"1\r\nx\r\n" for _ in range(1000))

        assert str(self.late(self.drip(chunks, at_once))) == LATE

    def test_dripping_trailers(self):
        at_once = head(transfer_encoding="chunked") + b"0\r\n"
        lines = (b"X-More: more\r\n" for _ in range(1000))

        assert str(self.late(self.drip(lines, at_once))) == LATE

    def test_dripping_continues(self):
        heads = (head(100) for _ in range(1000))

        assert str(self.late(self.drip(heads))) == LATE

    def test_dripping_error(self):
        server = self.drip(b"x" * 1000, at_once=head(500, content_length=1000))

        assert str(self.late(server)) == LATE

    def test_dripping_through_tls(self):
        server = self.drip(answer(), tls=True)
        with self_signed() as path, trusting(path):
            error = self.late(server)

        assert str(error) == LATE

    def test_server_that_does_not_read(self):
        request = create_order({"a": "x" * 30_000_000})

        error = self.late(self.serve(reads=False), request)

        assert type(error) is NoAnswerError

    def test_no_connection(self):
        with full_backlog() as url:
            error = self.late(url)

        assert type(error) is NotSentError

    def test_no_tls_handshake(self):
        server = self.serve(reads=False)

        assert type(self.late(server.url.replace("http:", "https:"))) is NotSentError

    def test_read_timeout_comes_first(self):
        server = self.serve(lambda sock, received: None)
        client = self.button(server, timeout=(1, 0.2), deadline=30)

        with self.within(1), pytest.raises(NoAnswerError, match=LATE):
            client.send(CREATE)

    def test_connect_timeout_comes_first(self):
        with full_backlog() as url, self.within(1):
            client = self.button(url, timeout=(0.2, 5), deadline=30)
            with pytest.raises(NotSentError, match="Connecting to Button timed out"):
                client.send(CREATE)

    def test_nothing_is_sent_after_it(self):
        """A process may have been frozen since it decided to call."""
        for tls in (False, True):
            with self.subTest(tls=tls), self_signed() as path, trusting(path):
                server = self.serve(tls=tls)
                client = self.button(server)

                with pytest.raises(NotSentError, match="deadline passed before"):
                    client.send(CREATE, since=time.monotonic() - client.deadline)

                assert server.received == []

    def test_slow_answer_in_time(self):
        server = self.drip(iter([answer()[:50], answer()[50:]]))

        assert self.button(server, deadline=2).send(CREATE).is_ok

    def test_next_exchange_has_its_own(self):
        """On the same connection, the deadline of the last one is forgotten."""

        def script(sock, received):
            server.stopped.wait(0.3)
            sock.sendall(answer())

        server = self.serve(script)
        client = self.button(server, deadline=0.8)

        assert all(client.send(CREATE).is_ok for _ in range(3))
        assert server.connections == 1

    def test_late_answer_is_never_taken_for_the_next(self):
        late = threading.Event()

        def script(sock, received):
            if received.method == "POST":
                late.wait(2)
                sock.sendall(answer(status=201))
            else:
                sock.sendall(answer(status=200))

        server = self.serve(script)
        self.late(server)
        late.set()

        assert self.button(server).send(RETRIEVE).status_code == 200


class BrokenConnectionTests(WireTestCase):
    def error(self, client, request=CREATE):
        with self.within(2), pytest.raises(ButtonError) as caught:
            client.send(request)
        return type(caught.value), str(caught.value)

    def test_refused(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            url = f"http://127.0.0.1:{free.getsockname()[1]}"

        error = self.error(self.button(url))

        assert error == (NotSentError, "Button could not be reached.")

    def test_unknown_host(self):
        exc = NameResolutionError("button.invalid", None, socket.gaierror("unknown"))

        error = as_button_error(exc)

        assert type(error) is NotSentError
        assert str(error) == "Button's host name could not be resolved."

    def test_closed_after_reading(self):
        server = self.serve(lambda sock, received: False)

        assert self.error(self.button(server)) == (NoAnswerError, GONE)
        assert len(server.received) == 1

    def test_closed_before_reading(self):
        server = self.serve(reads=False)
        client = self.button(server)
        timer = threading.Timer(0.5, server.stop)
        timer.start()

        assert self.error(client) == (NoAnswerError, GONE)
        timer.join()

    def test_reset(self):
        def script(sock, received):
            linger = struct.pack("ii", 1, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return False

        assert self.error(self.button(self.serve(script))) == (NoAnswerError, GONE)

    def test_short_body(self):
        data = head(content_length=len(OK) + 1, content_type="application/json") + OK
        server = self.serve(replies_and_closes(data))

        assert self.error(self.button(server)) == (NoAnswerError, GONE)

    def test_cut_head(self):
        for data in (b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nX-", b"\r\n\r\n", b"\0" * 100):
            with self.subTest(data=data):
                server = self.serve(replies_and_closes(data))

                kind, _ = self.error(self.button(server))

                assert kind is NoAnswerError

    def test_cut_chunk(self):
        chunked = head(transfer_encoding="chunked")
        for data in (
            b"5\r\nxx",
            b"5\r\nxxxxx\r\n",
            b"nonsense\r\n",
            b"-5\r\nxxxxx\r\n",
        ):
            with self.subTest(data=data):
                server = self.serve(replies_and_closes(chunked + data))

                assert self.error(self.button(server)) == (NoAnswerError, GONE)

    def test_senseless_lengths(self):
        for length in ("-1", "x", "1, 2", "9" * 5000):
            with self.subTest(length=length):
                data = head(content_length=length, content_type="text/plain") + OK
                server = self.serve(replies_and_closes(data))
                client = self.button(server, max_response_bytes=20)

                # urllib3 leaves the socket of two lengths to the garbage collector.
                with suppress(NoAnswerError), ignored(ResourceWarning):
                    assert client.send(CREATE).status_code == 200

    def test_more_than_announced(self):
        """What is too much is never taken for the next answer."""
        script = replies(answer() + answer(status=500), answer(status=202))
        client = self.button(self.serve(script))

        assert client.send(CREATE).status_code == 200
        assert client.send(CREATE).status_code == 202

    def test_senseless_answers_may_be_to_a_request_that_was_read(self):
        """Whoever takes them for an unsent request creates an order twice."""
        chunked = head(transfer_encoding="chunked")
        for data in (
            chunked + b"-5\r\nxxxxx\r\n",
            chunked + b"nonsense\r\n",
            chunked + b"99999999999999999999\r\nx",
            b"HTTP/1.1 abc OK\r\n\r\n",
            b"HTTP/1.1 99999 OK\r\n\r\n",
            b"HTTP/9.9 200 OK\r\n\r\n",
            b"SSH-2.0-OpenSSH\r\n",
            head(transfer_encoding="chunked", content_length="1, 2") + b"x\r\n",
        ):
            server = self.serve(replies_and_closes(data))
            with self.subTest(data=data):
                kind, _ = self.error(self.button(server))

                assert kind is NoAnswerError

    def test_sent_once(self):
        """Whatever happens, nothing is repeated beneath the database."""
        for script in (
            lambda sock, received: False,
            replies_and_closes(head(content_length=10)),
            replies(answer(status=500)),
            replies(answer(status=503, retry_after=0)),
            replies(answer(status=408)),
            replies(answer(status=401, www_authenticate="Basic")),
            replies(answer(status=407, proxy_authenticate="Basic")),
        ):
            for request in (CREATE, RETRIEVE, CANCEL):
                server = self.serve(script)
                with self.subTest(request=request):
                    with suppress(NoAnswerError):
                        self.button(server).send(request)

                    assert len(server.received) == 1

    def test_recovers(self):
        script = iter([lambda sock, received: False, replies(answer())])
        server = self.serve(lambda sock, received: next(script)(sock, received))
        client = self.button(server)
        self.error(client)

        assert client.send(CREATE).is_ok

    def test_closed_on_arrival_of_the_second_request(self):
        script = iter([replies(answer()), lambda sock, received: False])
        server = self.serve(lambda sock, received: next(script)(sock, received))
        client = self.button(server)
        client.send(CREATE)

        assert self.error(client) == (NoAnswerError, GONE)
        assert [received.connection for received in server.received] == [1, 1]

    def test_closed_while_idle(self):
        server = self.serve(replies_and_closes(answer()))
        client = self.button(server)
        for _ in range(3):
            assert client.send(CREATE).is_ok
            server.wait_until_closed()

        assert server.connections == 3

    def test_errors_that_wrap_each_other(self):
        inner = OSError()
        outer = OSError(inner)
        inner.args = (outer,)

        assert type(as_button_error(outer)) is NoAnswerError

    def test_errors_survive_pickle(self):
        for error in (NotSentError("No."), NoAnswerError("No.")):
            again = pickle.loads(pickle.dumps(error))

            assert (type(again), str(again)) == (type(error), "No.")

    def test_unusable_settings(self):
        """A delivery can tell what to do about these errors, and no others."""
        for values in (
            {"base_url": "https://a b"},
            {"base_url": "https://127.0.0.1:99999"},
            {"base_url": "nonsense"},
            {"api_version": "1\n2"},
            {"api_version": "\u20ac"},
        ):
            client = ButtonClient(**{"api_key": "k", "base_url": "http://x", **values})
            with self.subTest(values=values), pytest.raises(NotSentError):
                client.send(CREATE)


class RedirectTests(WireTestCase):
    def test_never_followed(self):
        for status in (301, 302, 303, 307, 308):
            for path in ("/v1/order", "//elsewhere", ""):
                for request in (CREATE, RETRIEVE, CANCEL):
                    elsewhere = self.serve()
                    data = answer(b"", status=status, location=elsewhere.url + path)
                    server = self.serve(data)
                    with self.subTest(status=status, path=path, request=request):
                        found = self.button(server).send(request)

                        assert found.status_code == status
                        assert found.is_ok is False
                        assert len(server.received) == 1
                        assert elsewhere.connections == 0

    def test_bomb(self):
        """What requests makes of a redirect reads and inflates all of its body."""
        bomb = answer(BOMB, status=302, location="/", content_encoding="gzip")
        server = self.serve(bomb)

        with bounded_memory():
            found = self.button(server).send(CREATE)

        assert len(found.body) <= 65536

    def test_endless_body(self):
        def script(sock, received):
            sock.sendall(head(302, location="/"))
            while True:
                sock.sendall(b"x" * 65536)

        with self.within(1):
            found = self.button(self.serve(script)).send(CREATE)

        assert found.status_code == 302

    def test_body_is_kept(self):
        server = self.serve(answer(b"Moved.", status=302, location="/"))

        assert self.button(server).send(CREATE).body == "Moved."

    def test_to_itself(self):
        server = self.serve(answer(b"", status=307, location="/v1/order"))

        self.button(server).send(CREATE)

        assert len(server.received) == 1

    def test_senseless_locations(self):
        for location in ("", "http://[", "\xff", "http://a b/", "x" * 5000):
            server = self.serve(answer(b"", status=302, location=location))
            with self.subTest(location=location):
                assert self.button(server).send(CREATE).status_code == 302

    def test_refresh(self):
        elsewhere = self.serve()
        server = self.serve(answer(refresh=f"0; url={elsewhere.url}"))

        self.button(server).send(CREATE)

        assert elsewhere.connections == 0


class EnvironmentTests(WireTestCase):
    def test_netrc(self):
        server = self.serve()
        with TemporaryDirectory() as folder:
            path = Path(folder) / ".netrc"
            path.write_text("machine 127.0.0.1 login someone password else\n")
            path.chmod(0o600)
            with patch.dict(os.environ, {"HOME": folder, "NETRC": str(path)}):
                self.button(server).send(CREATE)

        assert server.received[0].headers["authorization"] == f"Basic {BASIC}"

    def test_proxies(self):
        proxy = self.serve()
        for url in (proxy.url, f"http://me:pw@127.0.0.1:{proxy.port}"):
            names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
            values = dict.fromkeys([*names, *map(str.lower, names)], url)
            server = self.serve()
            with patch.dict(os.environ, {**values, "NO_PROXY": "", "no_proxy": ""}):
                self.button(server).send(CREATE)
                with pytest.raises(NotSentError):
                    self.button(server.url.replace("http:", "https:")).send(CREATE)

            assert proxy.connections == 0
            assert server.connections >= 2

    def test_no_proxy(self):
        server = self.serve()
        with patch.dict(os.environ, {"NO_PROXY": "*", "no_proxy": "*"}):
            assert self.button(server).send(CREATE).is_ok

    def test_certificates(self):
        server = self.serve(tls=True)
        names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
        with (
            self_signed() as path,
            patch.dict(os.environ, dict.fromkeys(names, path)),
            pytest.raises(NotSentError, match="certificate was not accepted"),
        ):
            self.button(server).send(CREATE)

        assert server.received == []

    def test_certificates_that_do_not_exist(self):
        server = self.serve(tls=True)
        names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        with (
            patch.dict(os.environ, dict.fromkeys(names, "/nowhere.pem")),
            pytest.raises(NotSentError, match="certificate was not accepted"),
        ):
            self.button(server).send(CREATE)


class TLSTests(WireTestCase):
    def test_self_signed(self):
        server = self.serve(tls=True)

        with pytest.raises(NotSentError) as caught:
            self.button(server).send(CREATE)

        assert str(caught.value) == "Button's TLS certificate was not accepted."
        assert server.received == []

    def test_trusted(self):
        server = self.serve(tls=True)
        with self_signed() as path, trusting(path):
            found = [self.button(server).send(CREATE) for _ in range(3)]

        assert all(answer.is_ok for answer in found)
        assert server.connections == 1

    def test_of_another_host(self):
        server = self.serve(tls=True)
        url = server.url.replace("localhost", "127.0.0.1")

        with self_signed() as path, trusting(path), pytest.raises(NotSentError):
            self.button(url).send(CREATE)

        assert server.received == []

    def test_plain_server(self):
        server = self.serve()

        with pytest.raises(NotSentError, match="Button could not be reached"):
            self.button(server.url.replace("http:", "https:")).send(CREATE)

        assert server.received == []

    def test_old_protocol(self):
        server = self.serve(tls=True)
        server.tls.maximum_version = ssl.TLSVersion.TLSv1_2
        server.tls.set_ciphers("ECDHE")
        with self_signed() as path, trusting(path):
            assert self.button(server).send(CREATE).is_ok


class KeepAliveTests(WireTestCase):
    def numbers(self, server):
        return [received.connection for received in server.received]

    def test_provisional_answers(self):
        """They are refused, and leave no answer to the next request."""
        for status in (101, 102, 103, 199):
            with self.subTest(status=status):
                hint = f"HTTP/1.1 {status} Wait\r\nLink: </a>\r\n\r\n".encode()
                server = self.serve(replies(hint + answer(), answer(status=404)))
                client = self.button(server)

                with pytest.raises(NoAnswerError, match=GONE):
                    client.send(CREATE)

                assert client.send(CREATE).status_code == 404
                assert self.numbers(server) == [1, 2]

    def test_one_connection(self):
        server = self.serve()

        for request in (CREATE, RETRIEVE, CANCEL, CREATE):
            self.button(server).send(request)

        assert self.numbers(server) == [1, 1, 1, 1]

    def test_whatever_the_answer(self):
        answers = [
            answer(status=500),
            answer(b"", status=204),
            answer(b"", status=304),
            answer(b"x" * 50_000, status=400),
            answer(gzip.compress(OK), content_encoding="gzip"),
            head(transfer_encoding="chunked") + b"2\r\nok\r\n0\r\n\r\n",
            answer(),
        ]
        server = self.serve(replies(*answers))

        for _ in answers:
            self.button(server).send(CREATE)

        assert self.numbers(server) == [1] * len(answers)

    def test_asked_to_close(self):
        server = self.serve(answer(connection="close"))

        self.button(server).send(CREATE)
        self.button(server).send(CREATE)

        assert self.numbers(server) == [1, 2]

    def test_accounts_are_apart(self):
        server = self.serve()

        for key in ("sk-1", "sk-2", "sk-1", "sk-2"):
            self.button(server, api_key=key).send(CREATE)

        assert self.numbers(server) == [1, 2, 1, 2]
        keys = {received.headers["authorization"] for received in server.received}
        assert len(keys) == 2

    def test_threads_are_apart(self):
        meeting = threading.Barrier(3)

        def script(sock, received):
            # Each answers once all three have asked.
            meeting.wait(5)
            sock.sendall(answer())

        server = self.serve(script)
        client = self.button(server)
        self.send_from_threads(client, times=3, threads=3)

        assert sorted(self.numbers(server)) == [1, 1, 1, 2, 2, 2, 3, 3, 3]

    def test_connections_outlive_threads(self):
        """A thread that makes one call shakes no hands for it."""
        server = self.serve()
        client = self.button(server)

        for _ in range(3):
            self.send_from_threads(client, times=1, threads=1)

        assert self.numbers(server) == [1, 1, 1]

    def send_from_threads(self, client, *, times, threads):
        def send():
            for _ in range(times):
                client.send(CREATE)

        started = [threading.Thread(target=send) for _ in range(threads)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join(5)

    def test_deadlines_of_threads_are_apart(self):
        slow = threading.Event()

        def script(sock, received):
            if received.method == "GET":
                slow.wait(5)
            sock.sendall(answer())

        server = self.serve(script)
        found = []
        patient = self.button(server, deadline=5)
        thread = threading.Thread(target=lambda: found.append(patient.send(RETRIEVE)))
        thread.start()

        assert self.button(server, deadline=1).send(CREATE).is_ok
        slow.wait(1.1)
        slow.set()
        thread.join(5)
        assert found[0].is_ok

    def test_processes_are_apart(self):
        """A fork in a process of its own, because this one has threads."""
        script = "\n".join(
            [
                "import os, sys",
                "from django_button_orders.client import ButtonClient, create_order",
                "client = ButtonClient(api_key='sk-XXX', base_url=sys.argv[1])",
                "request = create_order({})",
                "client.send(request)",
                "pid = os.fork()",
                "client.send(request)",
                "client.send(request)",
                "if pid:",
                "    assert os.waitpid(pid, 0)[1] == 0",
                "    client.send(request)",
            ]
        )
        server = self.serve()

        subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", script, server.url],
            cwd=Path(__file__).parent.parent,
            timeout=60,
            check=True,
        )

        assert sorted(self.numbers(server)) == [1, 1, 1, 1, 2, 2]


class SecretTests(WireTestCase):
    """The key is in no repr, no exception, no log, and nothing that is kept."""

    key = "sk-0123456789abcdef"
    basic = base64.b64encode(b"sk-0123456789abcdef:").decode()

    def secure_client(self, server, **values):
        return self.button(server, api_key=self.key, **values)

    def check(self, *things):
        for thing in things:
            for text in (str(thing), repr(thing)):
                assert self.key not in text
                assert self.basic not in text

    def test_repr(self):
        client = self.secure_client("http://127.0.0.1:1")

        self.check(client, CREATE, client.url(CREATE))

    def test_exceptions(self):
        errors = []
        for script in (lambda sock, received: False, b"x", replies_and_closes(b"x")):
            with pytest.raises(ButtonError) as caught:
                self.secure_client(self.serve(script), deadline=0.3).send(CREATE)
            errors.append(caught.value)

        self.check(*errors)
        for error in errors:
            assert error.__cause__ is None
            assert error.__suppress_context__
            assert len(error.args) == 1

    def test_logs(self):
        server = self.serve(
            replies(answer(), answer(status=500), answer(b"x" * 70_000))
        )
        loggers = [
            logging.getLogger(name)
            for name in ("", "urllib3", "requests", "django_button_orders")
        ]
        levels = [logger.level for logger in loggers]
        with self.assertLogs(level="DEBUG") as logs:
            for logger in loggers:
                logger.setLevel("DEBUG")
            for _ in range(3):
                self.secure_client(server).send(CREATE)
            with pytest.raises(NotSentError):
                self.secure_client("http://127.0.0.1:1").send(CREATE)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

        assert logs.output
        self.check(*logs.output)

    def echo(self, template, **values):
        body = template.replace("KEY", self.key).replace("BASIC", self.basic).encode()
        server = self.serve(answer(body, **values))
        return self.secure_client(server).send(CREATE)

    def test_echoed_in_the_body(self):
        for template in ("Bad key KEY!", "Authorization: Basic BASIC", "KEYKEY BASIC"):
            with self.subTest(template=template):
                found = self.echo(template, status=401, content_type="text/plain")

                assert "[API key]" in found.body
                self.check(found, found.body)

    def test_echoed_in_json(self):
        for template in (
            '{"error": {"message": "Invalid api_key KEY"}}',
            '{"error": "Basic BASIC"}',
            '{"meta": {"status": "ok"}, "object": {"button_order_id": "KEY"}}',
            '{"error": {"message": "no", "details": {"KEY": ["BASIC"]}}}',
        ):
            with self.subTest(template=template):
                found = self.echo(template, status=401)

                self.check(found, found.body, found.message, found.order, found.data)

    def test_echoed_in_escaped_json(self):
        key = "sk-???"
        client = self.button(self.serve(), api_key=key)
        basic = client.headers()["Authorization"]
        assert "/" in basic
        body = json.dumps({"error": {"message": f"Bad {basic}"}}).replace("/", r"\/")

        server = self.serve(answer(body.encode(), status=401))
        found = self.button(server, api_key=key).send(CREATE)

        secret = basic.removeprefix("Basic ")
        assert secret not in found.message
        assert secret.replace("/", r"\/") not in found.body

    def test_echoed_in_a_compressed_body(self):
        body = gzip.compress(self.key.encode())
        server = self.serve(answer(body, status=401, content_encoding="gzip"))

        found = self.secure_client(server).send(CREATE)

        assert found.body == "[API key]"

    def test_echoed_across_the_cut(self):
        for secret in (self.key, self.basic):
            body = b"x" * (1000 - len(secret) + 1) + secret.encode()
            server = self.serve(answer(body, status=401, content_type="text/plain"))
            with self.subTest(secret=secret):
                found = self.secure_client(server, max_response_bytes=1000).send(CREATE)

                assert secret[:-1] not in found.body

    def test_without_a_key(self):
        server = self.serve(answer(b"abc", status=401, content_type="text/plain"))

        assert self.button(server, api_key="").send(CREATE).body == "abc"


class AnswerValueTests(SimpleTestCase):
    def test_bare(self):
        bare = Answer(status_code=200)

        assert (bare.order, bare.message, bare.retry_after) == ({}, "", None)
        assert bare.is_ok

    def test_frozen(self):
        with pytest.raises(AttributeError):
            Answer(status_code=200).status_code = 500
