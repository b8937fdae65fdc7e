"""Read HTTP requests and write answers, with the standard library's server."""

from __future__ import annotations

import re
import socketserver
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, SHUT_WR, socket
from typing import Any

from django_button_orders.sandbox.wire import Answer, RefusedError, Request, error

MAX_BODY = 10 * 1024 * 1024
MAX_LINE = 65536
DECIMAL = re.compile(r"[0-9]{1,19}", re.ASCII)
HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]{1,16}")

# A Respond returns None to close the connection without an answer.
Respond = Callable[[Request], "Answer | None"]


class UnreadBodyError(RefusedError):
    """Refuse a request without reading its body, which ends the connection."""


class Server(ThreadingHTTPServer):
    """Give each connection a thread, and pass its requests to ``respond``."""

    daemon_threads = True
    # With it, two servers could listen on one port, and the kernel would choose between
    # them for each connection.
    allow_reuse_port = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], respond: Respond) -> None:
        self.respond = respond
        self.connections: set[socket] = set()
        self.lock = threading.Lock()
        self.is_closed = False
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        # HTTPServer.server_bind() asks the DNS for this machine's name, which can take
        # seconds and is not needed here.
        socketserver.TCPServer.server_bind(self)

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self.lock:
            if self.is_closed:
                return
            self.connections.add(request)
        try:
            super().finish_request(request, client_address)
        finally:
            with self.lock:
                self.connections.discard(request)

    def server_close(self) -> None:
        """Stop listening, and also close the connections that are kept alive."""
        super().server_close()
        with self.lock:
            self.is_closed = True
            for connection in self.connections:
                with suppress(OSError):
                    connection.shutdown(SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    """Serve one connection: read each request and write its answer."""

    server: Server
    protocol_version = "HTTP/1.1"
    # Nagle's algorithm would delay answers by up to 40 ms.
    disable_nagle_algorithm = True
    timeout = 60

    def log_message(self, *args: Any) -> None:
        """Write no log to standard error: ``Sandbox.requests`` has the requests."""

    def handle(self) -> None:
        # Tests let clients close their connections at any time.
        with suppress(OSError):
            super().handle()

    def __getattr__(self, name: str) -> Any:
        # BaseHTTPRequestHandler looks for do_GET, do_POST and so on. All methods get an
        # answer here, most of them 405.
        if name.startswith("do_"):
            return self.respond
        raise AttributeError(name)

    def respond(self) -> None:
        arrived_at = time.time()
        try:
            raw_body = self.read_body()
        except UnreadBodyError as exc:
            self.end(exc.answer)
            return
        answer = self.server.respond(
            Request(
                method=self.command,
                path=self.path,
                headers=self.headers,
                raw_body=raw_body,
                at=arrived_at,
            )
        )
        if answer is None:
            self.close_connection = True
        else:
            self.write(answer)

    def send_error(
        self, code: int, message: str | None = None, explain: str | None = None
    ) -> None:
        """Answer a request that could not be parsed, with the API's error envelope."""
        self.end(error(code, message or HTTPStatus(code).phrase))

    def end(self, answer: Answer) -> None:
        """Write an answer and close the connection after the client could read it."""
        self.close_connection = True
        self.write(answer)
        # Closing a socket with unread bytes resets the connection, and the client would
        # lose the answer.
        self.connection.shutdown(SHUT_WR)
        self.connection.settimeout(1)
        while self.connection.recv(MAX_LINE):
            pass

    def write(self, answer: Answer) -> None:
        body = answer.body.encode(errors="replace")
        if answer.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            body = b""
        headers = {
            "Date": self.date_time_string(),
            "Content-Type": answer.content_type,
            "Content-Length": str(len(body)),
            "Connection": "close" if self.close_connection else "keep-alive",
            "X-Content-Type-Options": "nosniff",
        }
        given = {name.lower() for name in answer.headers}
        headers = {
            **{
                key: value for key, value in headers.items() if key.lower() not in given
            },
            **answer.headers,
        }
        reason = self.responses.get(answer.status, ("",))[0]
        head = f"HTTP/1.1 {int(answer.status)} {reason}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if self.command == "HEAD":
            body = b""
        self.wfile.write(f"{head}\r\n".encode("latin-1") + body)

    def read_body(self) -> bytes:
        lengths = self.headers.get_all("Content-Length", [])
        encoding = self.headers.get("Transfer-Encoding")
        if encoding is not None:
            # Button's client for Node sends its bodies in chunks.
            if encoding.strip().lower() != "chunked" or lengths:
                raise UnreadBodyError("Send a body of known length, or in chunks.")
            return self.read_chunks()
        if len(set(lengths)) > 1:
            raise UnreadBodyError("Send one Content-Length.")
        if not lengths:
            return b""
        if not DECIMAL.fullmatch(lengths[0].strip()):
            raise UnreadBodyError("Content-Length must be a number.")
        return self.read(int(lengths[0]))

    def read_chunks(self) -> bytes:
        body = b""
        while size := self.read_chunk_size():
            body += self.read(size, already=len(body))
            self.rfile.readline(MAX_LINE)
        # Trailers follow the last chunk. An empty line ends them.
        while self.rfile.readline(MAX_LINE).strip():
            pass
        return body

    def read_chunk_size(self) -> int:
        text = self.rfile.readline(MAX_LINE).partition(b";")[0].strip()
        if not HEXADECIMAL.fullmatch(text):
            raise UnreadBodyError("The size of a chunk must be hexadecimal.")
        return int(text, 16)

    def read(self, size: int, already: int = 0) -> bytes:
        if already + size > MAX_BODY:
            raise UnreadBodyError(
                "The body has more than 10 MB.", HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            )
        data = self.rfile.read(size)
        if len(data) < size:
            raise ConnectionError("The client closed the connection.")
        return data
