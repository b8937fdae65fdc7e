"""
A fake Button that is never the bottleneck: python -m benchmarks.stub --port 8010

It answers all requests with the same bytes. ``GET /stub`` returns its counts,
``GET /stub/arrivals`` the time at which each order first arrived, and ``DELETE /stub``
resets both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import ssl
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import unquote

Result = TypeVar("Result")

ORDERS = "/v1/order"
ANSWER = {
    "meta": {"status": "ok"},
    "object": {
        "button_order_id": "btnorder-4bd0e1f23a567890",
        "status": "open",
        "total": 8700,
        "currency": "USD",
        "btn_ref": "fakesrctok-XXX",
        "line_items": [],
    },
}
# Parsing the JSON would cost more than all the rest, so a pattern finds the id.
ORDER_ID = re.compile(rb'"order_id":\s*"([^"]*)"')
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)


def answer(body: bytes, status: str = "200 OK") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


OK = answer(json.dumps(ANSWER).encode())
NOT_FOUND = answer(b'{"meta":{"status":"error"}}', "404 Not Found")


@dataclass
class Counts:
    """The counts since the last reset. Times are of ``time.monotonic()``."""

    requests: int = 0
    connections: int = 0
    peak_open: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    arrivals: dict[str, float] = field(default_factory=dict)

    def note(self, order_id: str) -> None:
        now = time.monotonic()
        self.requests += 1
        self.last_at = now
        self.first_at = self.first_at or now
        self.arrivals.setdefault(order_id, now)

    def as_dict(self) -> dict[str, Any]:
        shown = {key: value for key, value in vars(self).items() if key != "arrivals"}
        # The arrival of the last order that was new; repeated orders may come later.
        last_new = next(reversed(self.arrivals.values()), 0.0)
        return {**shown, "orders": len(self.arrivals), "last_new_at": last_new}


class Stub:
    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.counts = Counts()
        self.open = 0

    def control(self, method: str, path: str) -> bytes:
        if path == "/stub/arrivals":
            return answer(json.dumps(self.counts.arrivals).encode())
        shown = answer(json.dumps(self.counts.as_dict()).encode())
        if method == "DELETE":
            self.counts = Counts()
        return shown


class Connection(asyncio.Protocol):
    """One connection. Its requests come one after another, never pipelined."""

    def __init__(self, stub: Stub) -> None:
        self.stub = stub
        self.buffer = b""
        self.transport: Any = None
        # Connections that only ask for the counts are not counted.
        self.has_order = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.has_order:
            self.stub.open -= 1

    def data_received(self, data: bytes) -> None:
        self.buffer = data = self.buffer + data if self.buffer else data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return
        length = LENGTH.search(data, 0, end)
        size = end + 4 + (int(length[1]) if length else 0)
        if len(data) < size:
            return
        self.buffer = b""
        method, path, _ = data[: data.find(b"\r\n")].decode("latin-1").split(" ", 2)
        self.answer(method, path, data[end + 4 : size])

    def answer(self, method: str, path: str, body: bytes) -> None:
        if path.startswith("/stub"):
            self.transport.write(self.stub.control(method, path))
            return
        if not path.startswith(ORDERS):
            self.transport.write(NOT_FOUND)
            return
        self.count()
        found = ORDER_ID.search(body)
        order_id = found[1].decode() if found else unquote(path[len(ORDERS) + 1 :])
        self.stub.counts.note(order_id)
        if self.stub.latency:
            loop = asyncio.get_running_loop()
            loop.call_later(self.stub.latency, self.transport.write, OK)
        else:
            self.transport.write(OK)

    def count(self) -> None:
        counts = self.stub.counts
        if not self.has_order:
            self.has_order = True
            self.stub.open += 1
            counts.connections += 1
        counts.peak_open = max(counts.peak_open, self.stub.open)


async def serve(port: int, latency: float, certificate: str) -> None:
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    stub = Stub(latency)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(stub), "127.0.0.1", port, ssl=context, backlog=1024
    )
    await server.serve_forever()


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run on uvloop if it is installed, which is several times as fast."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        from asyncio import new_event_loop
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0.0, help="in seconds")
    parser.add_argument("--certificate", default="", help="PEM, with its key, for TLS")
    options = parser.parse_args()
    run(serve(options.port, options.latency, options.certificate))


if __name__ == "__main__":
    main()
