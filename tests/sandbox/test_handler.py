from __future__ import annotations

import contextlib
import http.client
import json
import socket

import pytest

from django_button_orders.sandbox import Sandbox
from django_button_orders.sandbox.handler import Handler, Server
from tests.sandbox.utils import ORDER, SandboxTestCase

MAX_BODY = 10 * 1024 * 1024
HEAD = b"POST /v1/order HTTP/1.1\r\nAuthorization: Basic c2stWFhYOg==\r\n"


@pytest.fixture
def connection():
    with Sandbox(api_key="sk-XXX") as sandbox:
        client = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=5)
        yield client
        client.close()


def test_connection_is_kept_alive(connection):
    headers = {"Authorization": "Basic c2stWFhYOg=="}
    sockets = set()
    for method in ("GET", "HEAD", "BREW", "DELETE"):
        connection.request(method, "/v1/order/1", headers=headers)
        connection.getresponse().read()
        sockets.add(connection.sock)

    assert len(sockets) == 1
    assert None not in sockets


class BodyTests(SandboxTestCase):
    def test_chunks(self):
        """Button's client for Node sends its bodies in chunks."""
        raw_body = json.dumps(ORDER).encode()

        answer = self.ask("POST", data=iter([raw_body[:9], raw_body[9:]]))
        assert answer.status_code == 400  # There was no content type.

        answer = self.ask(
            "POST",
            data=iter([raw_body[:9], raw_body[9:]]),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 200
        assert self.sandbox.requests[1].raw_body == raw_body

    def test_chunks_with_extensions_and_trailers(self):
        answer = self.ask_raw(
            HEAD + b"Content-Type: application/json\r\nTransfer-Encoding: chunked"
            b"\r\n\r\n2;a=b\r\n{}\r\n0\r\nTrailer: a\r\n\r\n"
        )

        assert answer.status == 400
        assert b"total is required" in answer.body

    def test_bad_lengths(self):
        for header in (
            b"Content-Length: x",
            b"Content-Length: -1",
            b"Content-Length: 1_0",
            b"Content-Length: " + b"9" * 5000,
            b"Content-Length: 1\r\nContent-Length: 2",
            b"Content-Length: 1\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: gzip",
            b"Transfer-Encoding: chunked\r\n\r\nzz",
            b"Transfer-Encoding: chunked\r\n\r\n-5",
        ):
            with self.subTest(header=header[:40]):
                answer = self.ask_raw(HEAD + header + b"\r\n\r\n")

                assert answer.status == 400
                assert json.loads(answer.body)["meta"] == {"status": "error"}
                assert answer.headers["Connection"] == "close"

    def test_too_long(self):
        size = MAX_BODY + 1
        for body in (
            b"Content-Length: %d\r\n\r\n" % size,
            b"Content-Length: %d\r\n\r\n" % size + b" " * size,
            b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size,
            b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n%x\r\n" % MAX_BODY,
        ):
            with self.subTest(length=len(body)):
                assert self.ask_raw(HEAD + body).status == 413

    def test_as_long_as_may_be(self):
        order = json.dumps(ORDER).encode()

        assert self.post_bytes(order.ljust(MAX_BODY)).status_code == 200


class HandlerTests(SandboxTestCase):
    def test_no_http(self):
        for line in (
            b"HELLO",
            b"GET / HTTP/x",
            b"GET / HTTP/9.0",
            b"A B C D",
            b"GET /" + b"a" * 70_000,
            b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200,
        ):
            with self.subTest(line=line[:20]):
                answer = self.ask_raw(line + b"\r\n\r\n")

                assert answer.status >= 400
                assert json.loads(answer.body)["meta"] == {"status": "error"}

    def test_client_that_stays_silent(self):
        """The server closes the connection before it waits for more bytes."""
        with socket.create_connection(("127.0.0.1", self.sandbox.port), 0.5) as client:
            client.sendall(HEAD + b"Content-Length: x\r\n\r\n")

            while client.recv(4096):
                pass

    def test_clients_that_go_away(self):
        """Requests that end too early are neither logged nor recorded."""
        for data in (
            b"",
            b"GET",
            HEAD + b"Content-Length: 9\r\n\r\n{",
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\n{",
        ):
            with socket.create_connection(
                ("127.0.0.1", self.sandbox.port), 5
            ) as client:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                with contextlib.suppress(OSError):
                    while client.recv(4096):
                        pass

        assert self.sandbox.requests == []
        assert self.create().status_code == 200


def test_connection_that_comes_while_stopping():
    server = Server(("127.0.0.1", 0), lambda request: None)
    server.server_close()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        server.finish_request(ours, ("127.0.0.1", 1))

    assert server.connections == set()


def test_handler_has_methods_of_http_only():
    handler = object.__new__(Handler)

    assert hasattr(handler, "do_BREW")
    assert not hasattr(handler, "brew")
