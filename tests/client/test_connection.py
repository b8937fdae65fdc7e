from __future__ import annotations

import gzip
import os
import pickle
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from urllib3.exceptions import NameResolutionError

from django_button_orders.client import (
    ButtonClient,
    ButtonError,
    NoAnswerError,
    NotSentError,
    create_order,
)
from django_button_orders.client.exceptions import as_button_error
from tests.client.utils import (
    BOMB,
    CANCEL,
    CREATE,
    GONE,
    LATE,
    RETRIEVE,
    bounded_memory,
    full_backlog,
    ignored,
    trusting,
)
from tests.wire import (
    BASIC,
    OK,
    Server,
    WireTestCase,
    answer,
    head,
    replies,
    replies_and_closes,
    self_signed,
)


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
            error = self.late(url, timeout=(30, 30))

        assert type(error) is NotSentError

    def test_no_tls_handshake(self):
        server = self.serve(reads=False)

        error = self.late(server.url.replace("http:", "https:"), timeout=(30, 30))

        assert type(error) is NotSentError

    def test_dripping_tls_handshake(self):
        class DrippingServer(Server):
            def talk(self, sock, number):
                with suppress(OSError):
                    # A record of TLS begins, and is to be 16 KiB long.
                    self.drip(sock, b"\x16\x03\x03\x40\x00" + bytes(1000))

        server = DrippingServer(replies(b""), tls=False, reads=True)
        self.addCleanup(server.stop)

        error = self.late(server.url.replace("http:", "https:"), timeout=(30, 30))

        assert type(error) is NotSentError

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
        """A process may be frozen between its decision to call and the call."""
        for tls in (False, True):
            with self.subTest(tls=tls), self_signed() as path, trusting(path):
                server = self.serve(tls=tls)
                client = self.button(server)

                with pytest.raises(NotSentError, match="deadline passed before"):
                    client.send(CREATE, since=time.monotonic() - client.deadline)

                assert server.received == []

    def test_nothing_is_sent_after_it_over_a_kept_connection(self):
        server = self.serve()
        client = self.button(server)
        client.send(CREATE)

        with pytest.raises(NotSentError, match="deadline passed before"):
            client.send(CREATE, since=time.monotonic() - client.deadline)

        assert len(server.received) == 1

    def test_nothing_is_sent_after_a_slow_name_server(self):
        """A look-up has no timeout, so the deadline can pass while it lasts."""
        look_up = socket.getaddrinfo

        def look_up_slowly(*args, **kwargs):
            time.sleep(0.6)
            return look_up(*args, **kwargs)

        for tls in (False, True):
            with self.subTest(tls=tls), self_signed() as path, trusting(path):
                server = self.serve(tls=tls)
                with patch("socket.getaddrinfo", look_up_slowly):
                    error = self.late(server)

                assert type(error) is NotSentError
                assert str(error) == "The deadline passed before anything was sent."
                assert server.received == []

    def test_shorter_one_of_another_call(self):
        """The watchdog does not sleep until the longer deadline."""
        server = self.drip(b"x" * 1000, at_once=head(content_length=1000))

        def send_patiently():
            with suppress(ButtonError):
                self.button(server, deadline=30).send(CREATE)

        thread = threading.Thread(target=send_patiently)
        thread.start()
        try:
            assert str(self.late(server)) == LATE
        finally:
            server.stop()
            thread.join(5)

    def test_slow_answer_in_time(self):
        server = self.drip(iter([answer()[:50], answer()[50:]]))

        assert self.button(server, deadline=2).send(CREATE).is_ok

    def test_next_exchange_has_its_own(self):
        """The deadline of a call does not affect the next call on its connection."""

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

    def test_success_that_is_cut_anywhere(self):
        length = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0"
        for whole in (length, chunked, answer()):
            for size in range(len(whole)):
                with self.subTest(data=whole[:size]):
                    server = self.serve(replies_and_closes(whole[:size]))

                    kind, _ = self.error(self.button(server))

                    assert kind is NoAnswerError

    def test_success_that_may_be_cut(self):
        """Without a length, an interruption looks like the end of the answer."""
        server = self.serve(replies_and_closes(head(202) + b"Accepted"))

        assert self.error(self.button(server)) == (NoAnswerError, GONE)

    def test_interrupted_tls_handshake(self):
        """A request is not sent before the handshake is complete."""

        class InterruptingServer(Server):
            def talk(self, sock, number):
                sock.recv(1)
                linger = struct.pack("ii", 1, 0)
                if number % 2:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                sock.close()

        server = InterruptingServer(replies(b""), tls=False, reads=True)
        self.addCleanup(server.stop)
        client = self.button(server.url.replace("http:", "https:"))

        for _ in range(4):
            assert self.error(client) == (NotSentError, "Button could not be reached.")

    def test_interrupted_tls_handshake_instead_of_a_kept_connection(self):
        server = self.serve(replies_and_closes(answer()), tls=True)
        client = self.button(server)
        with self_signed() as path, trusting(path):
            client.send(CREATE)
            server.wait_until_closed()
            server.reads = False
            timer = threading.Timer(0.3, server.stop)
            timer.start()

            kind, _ = self.error(client)

        timer.join()
        assert kind is NotSentError

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

                # urllib3 does not close the socket after an answer with two lengths.
                with suppress(NoAnswerError), ignored(ResourceWarning):
                    assert client.send(CREATE).status_code == 200

    def test_more_than_announced(self):
        """Extra bytes after an answer are not read as the next answer."""
        for tls in (False, True):
            with self.subTest(tls=tls), self_signed() as path, trusting(path):
                # The second answer does not fit into what is read with the first.
                more = answer(b"x" * 10_000, status=500)
                script = replies(answer() + more, answer(status=202))
                client = self.button(self.serve(script, tls=tls))

                assert client.send(CREATE).status_code == 200
                assert client.send(CREATE).status_code == 202

    def test_senseless_answers_may_be_to_a_request_that_was_read(self):
        """If they counted as not sent, the order could be created twice."""
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
        """No library repeats a request, because the database decides on retries."""
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
        """Delivery knows what to do after a ButtonError, and after no other error."""
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
        """A session would read and decompress the whole body of a redirect."""
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
        """They count as no answer, and the next request gets its own answer."""
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
            # No request is answered before all three have arrived.
            meeting.wait(5)
            sock.sendall(answer())

        server = self.serve(script)
        client = self.button(server)
        self.send_from_threads(client, times=3, threads=3)

        assert sorted(self.numbers(server)) == [1, 1, 1, 2, 2, 2, 3, 3, 3]

    def test_connections_outlive_threads(self):
        """A new thread uses the connection of an earlier one."""
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
        """
        A forked process has its own connections, and its own watchdog.

        The fork happens in a process of its own, because this one has threads.
        """
        script = """if True:
            import os, sys, time
            from django_button_orders.client import ButtonClient, ButtonError
            from django_button_orders.client import create_order

            client = ButtonClient(api_key="sk-XXX", base_url=sys.argv[1])
            slow = ButtonClient(api_key="sk-XXX", base_url=sys.argv[2], deadline=0.5)
            request = create_order({})
            client.send(request)
            pid = os.fork()
            client.send(request)
            client.send(request)
            if pid:
                assert os.waitpid(pid, 0)[1] == 0
                client.send(request)
            else:
                began = time.monotonic()
                try:
                    slow.send(request)
                except ButtonError:
                    assert time.monotonic() - began < 5
        """
        server = self.serve()
        slow = self.serve(lambda sock, received: slow.drip(sock, answer()))

        subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", script, server.url, slow.url],
            cwd=Path(__file__).parents[2],
            timeout=60,
            check=True,
        )

        assert sorted(self.numbers(server)) == [1, 1, 1, 1, 2, 2]
