"""HTTP, by the standard library: reads requests and writes answers."""

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

# Returns None to close the connection without an answer.
Exchange = Callable[[Request], "Answer | None"]


class UnreadBodyError(RefusedError):
    """The body is not going to be read, so the connection cannot be used again."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # On one machine, a busy port must be an error and not a lottery.
    allow_reuse_port = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], exchange: Exchange) -> None:
        self.exchange = exchange
        self.connections: set[socket] = set()
        self.lock = threading.Lock()
        self.is_closed = False
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        # The parent's asks the DNS for the name of this machine, which can take
        # seconds and is of no use here.
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
        """Stop listening, and end the connections that are kept alive, too."""
        super().server_close()
        with self.lock:
            self.is_closed = True
            for connection in self.connections:
                with suppress(OSError):
                    connection.shutdown(SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    # With the head and the body in one piece, too, answers take no 40 ms.
    disable_nagle_algorithm = True
    timeout = 60

    def log_message(self, *args: Any) -> None:
        """Say nothing: the sandbox keeps what it receives."""

    def handle(self) -> None:
        # A client may go away at any time. That is what is being tested.
        with suppress(OSError):
            super().handle()

    def __getattr__(self, name: str) -> Any:
        # Every other method gets an answer, too: mostly that it is not allowed.
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
        answer = self.server.exchange(
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
        """Answer what the parent could not parse in the form of the API."""
        self.end(error(code, message or HTTPStatus(code).phrase))

    def end(self, answer: Answer) -> None:
        """Answer, and hang up in a way that lets the client read it."""
        self.close_connection = True
        self.write(answer)
        # Closing with bytes unread would reset the connection.
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
            # Button's client for Node sends all its bodies in chunks.
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
        # What follows the last chunk are trailers, up to an empty line.
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
            raise ConnectionError("The client went away.")
        return data
