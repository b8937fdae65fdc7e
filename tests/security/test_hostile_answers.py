"""No answer, however hostile, loses a row or uses unbounded memory."""

from __future__ import annotations

import gzip
import json
import struct
import tracemalloc
import zlib
from contextlib import contextmanager

from django.contrib.auth.models import User
from django.urls import reverse

from django_button_orders.delivery.sweep import report_due
from django_button_orders.models import ButtonOrder, PausedAccount, Submission
from tests.admin.utils import page_url
from tests.security.utils import EndToEndTestCase
from tests.utils import create_row
from tests.wire import OK, answer, head, replies

LIMIT = 65536
GIGABYTE = 2**30
PAUSED_URL = reverse("admin:django_button_orders_pausedaccount_changelist")
HTML = "<script>alert(1)</script>"
DEEP = 100_000


def zeros():
    """Return a gigabyte of zeros, compressed: one megabyte repeated."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    megabyte = deflate.compress(bytes(2**20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return megabyte * 1024 + b"\x03\x00"


# The checksums of a gigabyte of zeros, which make these bodies valid.
ADLER32 = (GIGABYTE % 65521 << 16) + 1
CRC32 = 0x5B64C2B0
DEFLATED = b"\x78\xda" + zeros() + struct.pack(">L", ADLER32)
GZIPPED = (
    bytes.fromhex("1f8b08000000000000ff")
    + zeros()
    + struct.pack("<LL", CRC32, GIGABYTE)
)


class HostileTestCase(EndToEndTestCase):
    @classmethod
    def setUpTestData(cls):
        cls.user = User.objects.create(
            username="root", is_staff=True, is_superuser=True
        )

    def attempt(self, script, operation="create", **values):
        """Report a row to a hostile server, and check the row's state."""
        row = self.create_for(operation)
        server = self.serve(script)

        with self.within(2):
            self.report(row, server, **values)

        assert server.received
        self.check_record(row, values.get("MAX_RESPONSE_BYTES", LIMIT))
        return row

    def check_record(self, row, limit):
        """Assert that each call has a submission, with texts of bounded length."""
        assert row.submissions.exists()
        for submission in row.submissions.all():
            assert len(submission.response_body) <= limit
            check_text(submission.error)
            check_text(submission.response_body, limit)
        check_text(row.last_error)
        check_text(row.button_order_id, 255)
        for account in PausedAccount.objects.all():
            check_text(account.last_error)

    def check_page(self, row):
        """Assert that the admin can show the submissions."""
        self.client.force_login(self.user)
        url = page_url(row) if row.reason != "unauthorized" else PAUSED_URL
        assert self.client.get(url).status_code == 200

    @contextmanager
    def bounded_memory(self, megabytes=8):
        tracemalloc.start()
        try:
            yield
            assert tracemalloc.get_traced_memory()[1] < megabytes * 2**20
        finally:
            tracemalloc.stop()


def check_text(text, length=2000):
    assert len(text) <= length
    assert "\0" not in text
    assert text.encode().decode() == text


class LargeTests(HostileTestCase):
    def test_ten_megabytes(self):
        bodies = {
            "text/plain": b"x" * 10 * 2**20,
            "application/json": OK.ljust(10 * 2**20),
            "text/html": b"<p>" + b"x" * 10 * 2**20,
        }
        for content_type, body in bodies.items():
            for status in (200, 400):
                with self.subTest(content_type=content_type, status=status):
                    script = answer(body, status=status, content_type=content_type)
                    with self.bounded_memory():
                        row = self.attempt(script)

                    assert len(row.submissions.get().response_body) == LIMIT

    bombs = {
        "gzip": GZIPPED,
        "x-gzip": GZIPPED,
        "deflate": DEFLATED,
        "gzip, gzip": gzip.compress(GZIPPED),
        "gzip, deflate": gzip.compress(DEFLATED),
        "gzip, gzip, gzip": gzip.compress(gzip.compress(GZIPPED)),
        "br": GZIPPED,
        "identity": GZIPPED,
    }

    def test_bombs(self):
        for coding, body in self.bombs.items():
            script = answer(body, content_encoding=coding)
            with self.subTest(coding=coding), self.bounded_memory():
                self.attempt(script)

    def test_bombs_that_are_read_to_their_end(self):
        """The limit is above a gigabyte, so the whole body is decompressed."""
        for coding, body in self.bombs.items():
            script = answer(body, content_encoding=coding)
            with self.subTest(coding=coding), self.bounded_memory(50):
                self.attempt(script, MAX_RESPONSE_BYTES=2**21)

    def test_bomb_of_a_redirect(self):
        script = answer(GZIPPED, status=302, location="/", content_encoding="gzip")

        with self.bounded_memory(50):
            row = self.attempt(script, MAX_RESPONSE_BYTES=2**21)

        assert (row.status, row.reason) == ("failed", "refused")

    def test_long_words_of_button(self):
        """The body keeps these characters, and so does the start of the error."""
        error = json.dumps({"error": {"message": "x" * 60_000}}).encode()
        for status in (400, 401, 403, 500):
            with self.subTest(status=status):
                row = self.attempt(answer(error, status=status))

                assert len(row.last_error) == 2000


class EndlessTests(HostileTestCase):
    def check_not_answered(self, script, **values):
        row = self.attempt(script, **values)

        assert (row.status, row.reason) == ("pending", "unavailable")
        assert (row.unanswered, row.last_status_code) == (1, None)
        # Button may have applied the request, so it is asked before the next one.
        server = self.serve()
        self.report(row, server)
        assert server.received[0].method == "GET"
        assert row.status == "reported"

    def test_drip(self):
        def script(sock, received):
            sock.sendall(head(content_length=len(OK), content_type="application/json"))
            server.drip(sock, OK)

        server = self.serve()

        self.check_not_answered(script, DEADLINE=0.5)

    def test_drip_of_the_head(self):
        server = self.serve()

        self.check_not_answered(
            lambda sock, received: server.drip(sock, b"HTTP/1.1 200 OK".ljust(1000)),
            DEADLINE=0.5,
        )

    def test_silence(self):
        self.check_not_answered(lambda sock, received: True, DEADLINE=0.5)

    def test_headers(self):
        def script(sock, received):
            sock.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                sock.sendall(b"X-More: more\r\n" * 100)

        with self.bounded_memory():
            self.check_not_answered(script)

    def test_header(self):
        def script(sock, received):
            sock.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while True:
                sock.sendall(b"x" * 65536)

        with self.bounded_memory():
            self.check_not_answered(script)

    def test_folded_header(self):
        def script(sock, received):
            sock.sendall(b"HTTP/1.1 200 OK\r\nX-Long: a\r\n")
            while True:
                sock.sendall(b" more\r\n" * 100)

        with self.bounded_memory():
            self.check_not_answered(script)

    def test_body(self):
        def script(sock, received):
            sock.sendall(head(400, content_type="text/plain"))
            while True:
                sock.sendall(b"x" * 65536)

        with self.bounded_memory():
            row = self.attempt(script)

        assert (row.status, row.reason) == ("failed", "refused")

    def test_chunks(self):
        def script(sock, received):
            sock.sendall(head(400, transfer_encoding="chunked"))
            while True:
                sock.sendall(b"5\r\nxxxxx\r\n" * 1000)

        with self.bounded_memory():
            row = self.attempt(script)

        assert (row.status, row.reason) == ("failed", "refused")


class HeadTests(HostileTestCase):
    heads = (
        b"HTTP/1.1 99999 No\r\n\r\n",
        b"HTTP/1.1 -200 No\r\n\r\n",
        b"HTTP/1.1 2e2 No\r\n\r\n",
        b"HTTP/9.9 200 No\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"\0" * 100,
        b"\r\n\r\n\r\n\r\n",
        head(content_length=-1),
        head(content_length="1e3"),
        head(content_length=2**70),
        head(transfer_encoding="chunked") + b"FFFFFFFFFFFFFFFFFFFF\r\n",
        head(transfer_encoding="chunked") + b"-1\r\n",
        head(transfer_encoding="chunked") + b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\nno colon\r\n: no name\r\n\0: \0\r\n\r\n",
        head(content_type="\xff\xfe", set_cookie="a=b", date="never"),
        head(content_type="text/html; charset=utf-7"),
        *(head(status, content_length=0) for status in (101, 102, 199, 600, 999)),
    )

    def test_senseless(self):
        for data in self.heads:
            with self.subTest(data=data[:60]):

                def script(sock, received, data=data):
                    sock.sendall(data)
                    return False

                row = self.attempt(script, DEADLINE=0.5)

                assert row.status in ("pending", "reported")


class BodyTests(HostileTestCase):
    shapes = (
        b"",
        b"[]",
        b"1" * 5000,
        b"NaN",
        b"[" * 30_000,
        b"[" * 30_000 + b"]" * 30_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"meta": {"status": "ok"}, "object": ' + b"[" * 20_000,
        b'{"meta": {"status": "ok"}, "object": {"total": ' + b"1" * 5000 + b"}}",
        b'{"meta": {"status": "ok"}, "object": {"total": 1e999}}',
        b'{"meta": {"status": "ok"}, "meta": {"status": "error"}}',
        b'{"meta": {"status": "error"}, "object": {"button_order_id": "a"}}',
        b'{"meta": {"status": "ok"}, "object": {"\\u0000": "\\u0000"}}',
        b'{"meta": {"status": "ok"}, "object": {"\\ud800": "\\udfff"}}',
        b"\0" * 1000,
        b"\xff" * 70_000,
        b"\xed\xa0\x80" * 1000,
        b"\xef\xbb\xbf\xef\xbb\xbf" + OK,
        OK.decode().encode("utf-16"),
        b"{" + b",".join(b'"%d": 1' % number for number in range(6000)) + b"}",
        b"@" * 65_000,
    )

    def test_shapes_on_the_page(self):
        for body in self.shapes:
            with self.subTest(body=body[:60]):
                row = self.attempt(answer(body, status=400))

                assert (row.status, row.reason) == ("failed", "refused")
                self.check_page(row)

    def test_shapes_of_what_button_holds(self):
        """The answer to a GET makes no sense."""
        for body in self.shapes:
            with self.subTest(body=body[:60]):
                row = self.attempt(replies(answer(body), answer()), "retrieve")

                assert row.status in ("pending", "reported")

    def test_deep(self):
        for body in (b"[" * DEEP, b'{"a":' * DEEP, b"[" * DEEP + b"]" * DEEP):
            for status in (200, 400, 401):
                with self.subTest(body=body[:10], status=status):
                    script = answer(body, status=status)

                    self.attempt(script, MAX_RESPONSE_BYTES=10**6)


# Written as JSON text, because Python's json module would not write some of it.
VALUES = (
    "null",
    "0",
    "1e999",
    "1" * 4000,
    '""',
    json.dumps("x" * 10_000),
    json.dumps(HTML),
    '"a\\u0000b"',
    '"a\\ud800b"',
    '"\\udfff\\ud800"',
    '"\\n\\r\\t\\u001b[31m"',
    "{}",
    '{"message": {"message": []}}',
    '[{"status": "ok"}]',
)


class ValueTests(HostileTestCase):
    envelope = '{"meta": %(meta)s, "object": %(object)s, "error": %(error)s}'
    usual = {
        "meta": '{"status": "ok"}',
        "object": '{"button_order_id": "btnorder-1", "order_id": "1994"}',
        "error": "null",
    }

    def answers(self, name, template="%s", **options):
        """Return an answer for each value, with the value at a place in its JSON."""
        return {
            value: answer(
                (self.envelope % {**self.usual, name: template % value}).encode(),
                **options,
            )
            for value in VALUES
        }

    def test_meta(self):
        for template in ("%s", '{"status": %s}'):
            for value, script in self.answers("meta", template).items():
                with self.subTest(template=template, value=value[:60]):
                    row = self.attempt(script)

                    assert (row.status, row.reason) == ("pending", "unavailable")
                    assert row.button_order_id == ""

    def test_object(self):
        for value, script in self.answers("object").items():
            with self.subTest(value=value[:60]):
                row = self.attempt(script)

                assert row.status == "reported"
                assert row.button_order_id == ""

    def test_id_of_button(self):
        answers = self.answers("object", '{"button_order_id": %s}')
        for value, script in answers.items():
            with self.subTest(value=value[:60]):
                row = self.attempt(script)

                is_text = value[0] == '"' and value != '""'
                assert row.status == "reported"
                assert bool(row.button_order_id) == is_text

    def test_what_button_holds(self):
        for name in ("status", "total"):
            template = f'{{"button_order_id": "a", "{name}": %s}}'
            for value, script in self.answers("object", template).items():
                with self.subTest(name=name, value=value[:60]):
                    row = self.attempt(replies(script, answer()), "retrieve")

                    assert row.status == "reported"

    def test_error(self):
        for template in ("%s", '{"message": %s}'):
            answers = self.answers("error", template, status=503)
            for value, script in answers.items():
                with self.subTest(template=template, value=value[:60]):
                    row = self.attempt(script)

                    assert (row.status, row.reason) == ("pending", "unavailable")

    def test_error_on_the_page(self):
        answers = self.answers("error", '{"message": %s}', status=400)
        for value, script in answers.items():
            with self.subTest(value=value[:60]):
                row = self.attempt(script)

                assert (row.status, row.reason) == ("failed", "refused")
                self.check_page(row)

    def test_error_about_the_key(self):
        answers = self.answers("error", '{"message": %s}', status=401)
        for value, script in answers.items():
            with self.subTest(value=value[:60]):
                row = self.attempt(script)

                assert (row.status, row.reason) == ("pending", "unauthorized")
                assert PausedAccount.objects.exists()

    def test_error_on_the_page_of_paused_accounts(self):
        answers = self.answers("error", '{"message": %s}', status=401)
        for value in (json.dumps(HTML), '"a\\u0000b"', '"a\\ud800b"'):
            with self.subTest(value=value):
                self.check_page(self.attempt(answers[value]))


class SweepTests(HostileTestCase):
    def test_goes_on(self):
        """A hostile answer to one order does not affect the others."""
        error = b'{"error": {"message": "a\\u0000b\\ud800c"}}'
        hostile = [
            answer(GZIPPED, content_encoding="gzip"),
            *(answer(body) for body in BodyTests.shapes),
            *(answer(error, status=status) for status in (200, 400, 403, 500)),
        ]

        def script(sock, received):
            order_id = json.loads(received.body)["order_id"]
            good = order_id.startswith("good")
            sock.sendall(answer() if good else hostile[int(order_id)])

        for number in range(len(hostile)):
            create_row(order_id=f"{number}")
            create_row(order_id=f"good {number}")
        with self.button_at(self.serve(script)), self.bounded_memory():
            report_due(using="default")

        for row in ButtonOrder.objects.all():
            with self.subTest(order_id=row.order_id):
                if row.order_id.startswith("good"):
                    assert row.status == "reported"
                self.check_is_accounted_for(row)
                self.check_record(row, LIMIT)

    def test_pause_of_one_account_leaves_the_others(self):
        error = b'{"error": {"message": "a\\ud800b"}}'

        def script(sock, received):
            good = json.loads(received.body)["order_id"] == "good"
            sock.sendall(answer() if good else answer(error, status=401))

        server = self.serve(script)
        create_row(order_id="bad", account="eu")
        good = create_row(order_id="good")
        with self.button_at(server, ACCOUNTS={"eu": {"API_KEY": "sk-eu"}}):
            report_due(using="default")

        good.refresh_from_db()
        assert good.status == "reported"
        assert PausedAccount.objects.get().account == "eu"
        assert Submission.objects.count() == 2
