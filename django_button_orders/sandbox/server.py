"""HTTP in front of the store: Button's paths, and the sandbox's own."""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from django_button_orders.sandbox.page import render_page
from django_button_orders.sandbox.store import (
    Answer,
    Misbehaviour,
    ReceivedRequest,
    Store,
    error,
    ok,
)

ORDERS = "/v1/order"
BY_TOKEN = f"{ORDERS}/btn-ref/"
MAX_BODY = 10 * 1024 * 1024
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

Listener = Callable[[ReceivedRequest], None]


class Sandbox:
    """
    A Button on this machine. Use it as a context manager, or start and stop it.

    ``orders`` holds what Button would, by order id and in minor units;
    ``requests`` is what it received.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str = "sk-sandbox",
        listener: Listener = lambda request: None,
    ) -> None:
        self.host = host
        self.port = port
        self.api_key = api_key
        self.listener = listener
        self.store = Store()
        self.server: ThreadingHTTPServer | None = None
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen. Raises ``OSError`` when the port is taken."""
        handler = type("BoundHandler", (Handler,), {"sandbox": self})
        self.server = Server((self.host, self.port), handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(
            target=self.server.serve_forever, args=(0.05,), daemon=True
        )
        self.thread.start()

    def stop(self) -> None:
        if self.server is not None and self.thread is not None:
            self.server.shutdown()
            self.server.server_close()
            self.thread.join()
            self.server = None

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(self, *args: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def orders(self) -> dict[str, dict[str, Any]]:
        return self.store.orders

    @property
    def requests(self) -> list[ReceivedRequest]:
        return self.store.requests

    def misbehave(self, **options: Any) -> None:
        """
        Let the next ``times`` requests fail in a certain way.

        ``status``, ``body``, ``content_type`` and ``headers`` are answered
        instead, after ``delay`` seconds. ``drop`` closes the connection
        "before" or "after" the request was applied. ``apply`` says whether a
        forced status still has the request's effect; by default 2xx has.
        ``method`` and ``order_id`` restrict which requests are meant.
        """
        with self.store.lock:
            self.store.misbehaviours.append(Misbehaviour(**options))

    def clear_misbehaviour(self) -> None:
        with self.store.lock:
            self.store.misbehaviours.clear()

    def finalize(self, order_id: str) -> None:
        """Refuse changes of an order from now on."""
        self.store.finalize(order_id)

    def reset(self) -> None:
        self.store.reset()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # Button's own server would not have this few places in its queue.
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away is what is being tested."""


class Handler(BaseHTTPRequestHandler):
    sandbox: Sandbox
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *args: Any) -> None:
        """The listener tells what was received."""

    def __getattr__(self, name: str) -> Any:
        # Every other method gets an answer, too: mostly that it is not allowed.
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def answer(self) -> None:
        raw_body = self.read_body()
        if raw_body is None:
            return
        if urlsplit(self.path).path.rstrip("/").startswith("/sandbox"):
            Control(self, raw_body).answer()
        else:
            self.answer_as_button(raw_body)

    def read_body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or "Transfer-Encoding" in self.headers:
            length = "-1"
        if not 0 <= int(length) <= MAX_BODY:
            self.close_connection = True
            status = HTTPStatus.BAD_REQUEST if int(length) < 0 else 413
            self.send_answer(error(status, "Send a body of known length up to 10 MB."))
            return None
        return self.rfile.read(int(length))

    def answer_as_button(self, raw_body: bytes) -> None:
        store, at = self.sandbox.store, time.time()
        body = parse(raw_body)
        order_id = order_id_of(self.path, body)
        misbehaviour = store.take_misbehaviour(self.command, order_id)
        if misbehaviour is not None and misbehaviour.delay:
            time.sleep(misbehaviour.delay)
        answer: Answer | None = None
        if misbehaviour is None or misbehaviour.is_applied:
            answer = self.apply(raw_body, body)
        if misbehaviour is not None and misbehaviour.drop:
            self.note(raw_body, body, None, at)
            self.close_connection = True
            return
        if misbehaviour is not None and misbehaviour.status is not None:
            self.note(raw_body, body, misbehaviour.status, at)
            self.send_misbehaviour(misbehaviour)
            return
        if answer is not None:
            self.note(raw_body, body, answer.status, at)
            self.send_answer(answer)

    def apply(self, raw_body: bytes, body: Any) -> Answer:
        try:
            self.check_credentials()
            if raw_body:
                self.check_body(body)
            return self.route(body)
        except Answer as exc:
            return exc

    def check_credentials(self) -> None:
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        try:
            credentials = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            credentials = ""
        if scheme != "Basic" or credentials != f"{self.sandbox.api_key}:":
            raise error(HTTPStatus.UNAUTHORIZED, "Invalid api_key")

    def check_body(self, body: Any) -> None:
        content_type = self.headers.get("Content-Type", "").partition(";")[0].strip()
        if content_type != "application/json":
            raise error(HTTPStatus.BAD_REQUEST, "Content-Type must be application/json")
        if not isinstance(body, dict):
            raise error(HTTPStatus.BAD_REQUEST, "The body must be a JSON object")

    def route(self, body: Any) -> Answer:
        store, path = self.sandbox.store, urlsplit(self.path).path
        if path == ORDERS:
            if self.command != "POST":
                raise error(HTTPStatus.METHOD_NOT_ALLOWED, "Only POST")
            return store.create(required(body))
        if path.startswith(BY_TOKEN) and self.command == "GET":
            return store.retrieve_by_token(unquote(path.removeprefix(BY_TOKEN)))
        key = order_key(path)
        if self.command == "GET":
            return store.retrieve(key)
        if self.command == "POST":
            return store.update(key, required(body))
        if self.command == "DELETE":
            return store.cancel(key)
        raise error(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET, POST and DELETE")

    def note(self, raw_body: bytes, body: Any, status: int | None, at: float) -> None:
        hidden = ("authorization",)
        request = ReceivedRequest(
            method=self.command,
            path=self.path,
            headers={k: v for k, v in self.headers.items() if k.lower() not in hidden},
            body=body,
            raw_body=raw_body,
            status=status,
            at=at,
        )
        with self.sandbox.store.lock:
            self.sandbox.requests.append(request)
        self.sandbox.listener(request)

    def send_answer(self, answer: Answer) -> None:
        body = json.dumps(answer.envelope).encode()
        self.send_whole(answer.status, body, {"Content-Type": "application/json"})

    def send_misbehaviour(self, misbehaviour: Misbehaviour) -> None:
        status = misbehaviour.status or HTTPStatus.OK
        body = misbehaviour.body
        if body is None:
            meta = "ok" if status < 300 else "error"
            body = json.dumps({"meta": {"status": meta}})
            if misbehaviour.content_type == "text/plain":
                body = "Accepted" if status < 300 else "Error"
        headers = {"Content-Type": misbehaviour.content_type, **misbehaviour.headers}
        self.send_whole(status, b"" if status == 204 else body.encode(), headers)

    def send_whole(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        # Head and body in one piece, or the client waits for the second.
        self._headers_buffer.append(b"\r\n")
        if self.command != "HEAD":
            self._headers_buffer.append(body)
        self.flush_headers()


class Control:
    """The sandbox's own paths, for a person or a script on this machine."""

    def __init__(self, handler: Handler, raw_body: bytes) -> None:
        self.handler = handler
        self.sandbox = handler.sandbox
        self.body = parse(raw_body)

    def answer(self) -> None:
        handler = self.handler
        try:
            self.check_caller()
            path = urlsplit(handler.path).path.rstrip("/").removeprefix("/sandbox")
            if path == "" and handler.command == "GET":
                page = render_page(self.sandbox.url, self.sandbox.store).encode()
                headers = {"Content-Type": "text/html; charset=utf-8"}
                handler.send_whole(HTTPStatus.OK, page, headers)
                return
            envelope = self.route(handler.command, path)
        except Answer as exc:
            handler.send_answer(exc)
        else:
            handler.send_answer(Answer(HTTPStatus.OK, envelope))

    def check_caller(self) -> None:
        host = self.handler.headers.get("Host", "").rpartition(":")[0]
        if host not in LOOPBACK:
            # A page on the web can point a name of its own to this machine.
            raise error(HTTPStatus.FORBIDDEN, "Only from this machine")
        content_type = self.handler.headers.get("Content-Type", "")
        if self.handler.command == "POST" and content_type != "application/json":
            raise error(HTTPStatus.BAD_REQUEST, "Content-Type must be application/json")

    def route(self, method: str, path: str) -> Any:
        with self.sandbox.store.lock:
            if (method, path) == ("GET", "/orders"):
                return dict(self.sandbox.orders)
            if (method, path) == ("GET", "/requests"):
                return [as_json(item) for item in self.sandbox.requests]
        if method == "POST":
            self.act(path)
            return ok().envelope
        raise error(HTTPStatus.NOT_FOUND, "No such page of the sandbox")

    def act(self, path: str) -> None:
        try:
            if path == "/misbehave":
                self.sandbox.misbehave(**required(self.body))
            elif path == "/clear":
                self.sandbox.clear_misbehaviour()
            elif path == "/reset":
                self.sandbox.reset()
            elif path.startswith("/finalize/"):
                self.sandbox.finalize(unquote(path.removeprefix("/finalize/")))
            else:
                raise error(HTTPStatus.NOT_FOUND, "No such page of the sandbox")
        except (TypeError, ValueError) as exc:
            raise error(HTTPStatus.BAD_REQUEST, str(exc)) from exc


def parse(raw_body: bytes) -> Any:
    """Return the JSON of a body, or None when it is none, as with NaN in it."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return json.loads(raw_body.decode(), parse_constant=refuse)
    except (ValueError, RecursionError):
        return None


def required(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise error(HTTPStatus.BAD_REQUEST, "The body must be a JSON object")
    return body


def order_key(path: str) -> str:
    """Return the id in a path, where it has to be one segment."""
    key = path.removeprefix(f"{ORDERS}/")
    if key == path or not key or "/" in key:
        raise error(HTTPStatus.NOT_FOUND, "No such resource")
    return unquote(key)


def order_id_of(path: str, body: Any) -> str:
    found = unquote(urlsplit(path).path.removeprefix(ORDERS).removeprefix("/"))
    if not found and isinstance(body, dict):
        found = str(body.get("order_id", ""))
    return found


def as_json(request: ReceivedRequest) -> dict[str, Any]:
    values = asdict(request)
    del values["raw_body"]
    return values
