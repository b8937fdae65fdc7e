"""Scripted servers on this machine, which record the requests as bytes."""

from __future__ import annotations

import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from django.test import SimpleTestCase

from django_button_orders.client.api import ButtonClient
from django_button_orders.client.connection import lend

OK = b'{"meta": {"status": "ok"}, "object": {"button_order_id": "btnorder-1"}}'
JSON = "application/json"
API_KEY = "sk-XXX"
BASIC = "c2stWFhYOg=="
# A self-signed certificate for localhost, not for 127.0.0.1, valid until 2126.
SELF_SIGNED = """\
-----BEGIN CERTIFICATE-----
MIIBlTCCATugAwIBAgIUfpQcIDjMzADeKFvesUNIrhNmTm0wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzEzNDgxMloYDzIxMjYxMDMw
MTM0ODEyWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARzqdCHRIVRsr5ZITr78ylHHAB0ex6/Eqxbq2wIIjs2ac8gtyoAYbw2
HQ8N9YEBQbpUmL9UR9/48L1bj3X4Rudgo2kwZzAdBgNVHQ4EFgQU6r4E3aQClDBv
v3e3Bw5YAIeKP4UwHwYDVR0jBBgwFoAU6r4E3aQClDBvv3e3Bw5YAIeKP4UwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SAAwRQIgBgFUY+KD/uOFkYZ0ymEGrUBgMbU8sZTUJEJJejyXBD8CIQD9ee/bdQnd
DsePJkoBNijgNJEk1xuDaY74ObnIujHesg==
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPqysOVeQ8WUG+rIp
MXf1d8vPIGNwr6c3oBkK+eR7r1mhRANCAARzqdCHRIVRsr5ZITr78ylHHAB0ex6/
Eqxbq2wIIjs2ac8gtyoAYbw2HQ8N9YEBQbpUmL9UR9/48L1bj3X4Rudg
-----END PRIVATE KEY-----
"""


class Received(NamedTuple):
    """A request as it was sent."""

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Script = Callable[[socket.socket, Received], object]


def head(status: int = 200, **headers: Any) -> bytes:
    """Return the head of an answer; content_length=3 is "Content-Length: 3"."""
    lines = [f"HTTP/1.1 {status} Whatever"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def answer(
    body: bytes = OK, *, status: int = 200, content_type: str = JSON, **headers: Any
) -> bytes:
    return (
        head(status, content_length=len(body), content_type=content_type, **headers)
        + body
    )


def replies(*answers: bytes) -> Script:
    """Return a script that sends one answer after the other, and repeats the last."""
    left = list(answers)

    def script(sock: socket.socket, received: Received) -> None:
        sock.sendall(left.pop(0) if len(left) > 1 else left[0])

    return script


def replies_and_closes(data: bytes) -> Script:
    def script(sock: socket.socket, received: Received) -> bool:
        sock.sendall(data)
        return False

    return script


class Server:
    """
    Call a script for each request. A script that returns False ends the connection.

    With ``reads=False``, the server accepts connections and never reads from them.
    """

    def __init__(self, script: Script, *, tls: bool, reads: bool) -> None:
        self.script = script
        self.reads = reads
        self.received: list[Received] = []
        self.stopped = threading.Event()
        self.tls = server_context() if tls else None
        self.sockets: list[socket.socket] = []
        self.connections = 0
        # The thread of a connection may answer before it is in the list.
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    @property
    def url(self) -> str:
        name = "https://localhost" if self.tls else "http://127.0.0.1"
        return f"{name}:{self.port}"

    def accept(self) -> None:
        while True:
            sock, _ = self.listener.accept()
            self.sockets.append(sock)
            if self.stopped.is_set():
                return
            self.connections += 1
            if self.reads:
                args = (sock, self.connections)
                thread = threading.Thread(target=self.talk, args=args, daemon=True)
                with self.lock:
                    thread.start()
                    self.threads.append(thread)

    def talk(self, sock: socket.socket, number: int) -> None:
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
                self.sockets.append(sock)
            with sock, sock.makefile("rb") as stream:
                while (received := read_request(stream, number)) is not None:
                    self.received.append(received)
                    if self.script(sock, received) is False:
                        return
        except OSError:
            pass  # Many tests let the client close the connection.

    def drip(self, sock: socket.socket, data: Iterator[bytes] | bytes) -> None:
        """Send a piece each 50 ms, until the client closes the connection."""
        pieces = (bytes([byte]) for byte in data) if isinstance(data, bytes) else data
        for piece in pieces:
            sock.sendall(piece)
            self.stopped.wait(0.05)

    def wait_until_closed(self) -> None:
        """Wait until all connections are closed."""
        with self.lock:
            threads = self.threads[1:]
        for thread in threads:
            thread.join(5)

    def stop(self) -> None:
        if self.stopped.is_set():
            return
        self.stopped.set()
        # Closing the socket would not wake the thread that waits in accept().
        socket.create_connection(self.listener.getsockname()).close()
        self.threads[0].join(5)
        self.listener.close()
        for sock in self.sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self.wait_until_closed()
        for sock in self.sockets:
            sock.close()


def read_request(stream: Any, number: int) -> Received | None:
    line = stream.readline().decode("latin-1")
    if not line.endswith(" HTTP/1.1\r\n"):
        return None
    method, target, _ = line.split(" ")
    headers = {}
    while (line := stream.readline().decode("latin-1").rstrip("\r\n")) != "":
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    body = stream.read(int(headers.get("content-length", 0)))
    return Received(number, method, target, headers, body)


@contextmanager
def self_signed() -> Iterator[str]:
    """Yield the path of the self-signed certificate and its key."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "self-signed.pem"
        path.write_text(SELF_SIGNED)
        yield str(path)


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with self_signed() as path:
        context.load_cert_chain(path)
    return context


def close_connections(client: ButtonClient) -> None:
    """Close what a client has left open for the next call."""
    while connection := lend(client):
        connection.adapter.close()


class WireTestCase(SimpleTestCase):
    button_class = ButtonClient

    def serve(
        self, script: Script | bytes = b"", *, tls: bool = False, reads: bool = True
    ) -> Server:
        if isinstance(script, bytes):
            script = replies(script or answer())
        server = Server(script, tls=tls, reads=reads)
        self.addCleanup(server.stop)
        return server

    def button(self, server: Server | str, **values: Any) -> ButtonClient:
        url = server if isinstance(server, str) else server.url
        client = self.button_class(
            **{
                "api_key": API_KEY,
                "base_url": url,
                "timeout": (2, 2),
                "deadline": 5,
                **values,
            }
        )
        self.addCleanup(close_connections, client)
        return client

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        start = time.monotonic()
        yield
        # A busy machine is up to four times slower; a call that hangs takes far longer.
        assert time.monotonic() - start < seconds * 4
