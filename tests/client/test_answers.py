from __future__ import annotations

import gzip
import zlib

import pytest
from django.test import SimpleTestCase

from django_button_orders.client import (
    Answer,
    NoAnswerError,
)
from django_button_orders.client.answers import parse_retry_after
from tests.client.utils import (
    BOMB,
    CREATE,
    GONE,
    bounded_memory,
)
from tests.wire import (
    OK,
    WireTestCase,
    answer,
    head,
    replies,
    replies_and_closes,
)

NOW = "Sun, 01 Nov 2026 12:00:00 GMT"


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

    def test_halves_of_characters_in_json(self):
        body = Rb'{"meta": {"\udc00": "\ud83d \uD83D\uDE00 \\ud83d"}}'

        assert self.answer(body).data == {"meta": {"?": R"? 😀 \ud83d"}}

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

    def test_words(self):
        long, x = f"{'word ' * 60}customer@example.com", "x" * 280
        table = [
            ('{"error": {"message": "No such order."}}', "No such order."),
            ("Order is too old.\n", "Order is too old."),
            ('["Too old."]', '["Too old."]'),
            ('"Too old."', '"Too old."'),
            ('{"reason": "too old"}', '{"reason": "too old"}'),
            ('{"error": {"message": ""}}', '{"error": {"message": ""}}'),
            ("5", "5"),
            ("", ""),
            (" \r\n", ""),
            (
                '{"error": {"message": "\\u001b[2J\\u202ered\\nline"}}',
                R"\x1b[2J\u202ered line",
            ),
            ("\x1b[2J\u202ered\nline", R"\x1b[2J\u202ered line"),
            (long, f"{'word ' * 60}…"),
            (long[1:], f"{long[1:300]}…"),
            (f'["{x}","cut-{x}"]', f'["{x}","…'),
            ("z" * 301, "…"),
        ]
        for body, words in table:
            with self.subTest(body=body):
                assert self.answer(body.encode(), status=400).words == words

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
        """An answer without a length ends with the connection."""
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
                # What it says cannot be read, and may be an error.
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
        """A date without a time zone is in UTC, not in the time zone of the shop."""
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
        """An answer that is too long is cut and not parsed. Only its status counts."""
        for status in (200, 400):
            with self.subTest(status=status):
                found = self.send(answer(OK.ljust(1001), status=status))

                assert len(found.body) == 1000
                assert found.data is None
                assert found.is_ok is (status == 200)

    def test_cut_error(self):
        """A cut answer is no success if its beginning says "error"."""
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

    def test_endless_chunk_of_negative_size(self):
        def script(sock, received):
            sock.sendall(head(transfer_encoding="chunked") + b"-1\r\n")
            while True:
                sock.sendall(b"x" * 65536)

        with self.within(2), bounded_memory():
            assert self.send(script).body == "x" * 1000

    def test_endless_size_of_a_chunk(self):
        def script(sock, received):
            sock.sendall(head(transfer_encoding="chunked"))
            while True:
                sock.sendall(b"0" * 65536)

        with self.within(2), bounded_memory(), pytest.raises(NoAnswerError):
            self.send(script)

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


class AnswerValueTests(SimpleTestCase):
    def test_bare(self):
        bare = Answer(status_code=200)

        assert (bare.order, bare.message, bare.retry_after) == ({}, "", None)
        assert bare.is_ok

    def test_frozen(self):
        with pytest.raises(AttributeError):
            Answer(status_code=200).status_code = 500
