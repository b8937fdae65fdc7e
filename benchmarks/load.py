"""
Measure how many calls per second the fake Button can answer.

``python -m benchmarks.load --kind raw`` sends the same bytes over sockets: no client
is faster. ``--kind sessions`` posts with a ``requests`` session in each thread, which
is what hand-written code can reach without a database.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import ssl
import sys
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import requests

from benchmarks.stub import run as run_loop

TIMEOUT = (3.05, 10)
ORDER = {
    "order_id": "LOAD-1",
    "total": 8700,
    "currency": "USD",
    "purchase_date": "2026-11-01T12:00:00Z",
    "btn_ref": "fakesrctok-XXX",
    "customer": {
        "email_sha256": "b4c9a289323b21a01c3e940f150eb9b8"
        "c542587f1abfd8f0e1cc1ffc5e475514"
    },
    "line_items": [
        {
            "identifier": sku,
            "sku": sku,
            "description": name,
            "category": ["Kitchen"],
            "quantity": 1,
            "amount": price,
            "total": price,
        }
        for sku, name, price in (("MUG-1", "Mug", 1500), ("TEA-9", "Green tea", 2400))
    ],
}


class RawClient(asyncio.Protocol):
    """Send the same request again after each answer."""

    def __init__(self, host: str) -> None:
        body = json.dumps(ORDER).encode()
        head = (
            f"POST /v1/order HTTP/1.1\r\nHost: {host}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.request = head.encode() + body
        self.answers = 0
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        # An answer of the fake Button fits into a segment, so it arrives in one piece.
        self.answers += 1
        self.transport.write(self.request)


async def send_raw(url: str, connections: int, seconds: float, certificate: str) -> int:
    parts, loop = urlsplit(url), asyncio.get_running_loop()
    context = ssl.create_default_context(cafile=certificate) if certificate else None
    clients = [RawClient(parts.netloc) for _ in range(connections)]
    for client in clients:
        await loop.create_connection(
            lambda client=client: client, parts.hostname, parts.port, ssl=context
        )
    before = sum(client.answers for client in clients)
    await asyncio.sleep(seconds)
    answers = sum(client.answers for client in clients) - before
    for client in clients:
        client.transport.abort()
    return answers


def send_by_sessions(url: str, threads: int, seconds: float, certificate: str) -> int:
    counts = [0] * threads
    ends = time.monotonic() + seconds

    def send(position: int) -> None:
        with requests.Session() as session:
            session.auth = ("sk-sandbox", "")
            session.verify = certificate or True
            while time.monotonic() < ends:
                session.post(f"{url}/v1/order", json=ORDER, timeout=TIMEOUT)
                counts[position] += 1

    workers = [threading.Thread(target=send, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts)


def run(options: argparse.Namespace, results: Any) -> None:
    arguments = (options.url, options.connections, options.seconds, options.certificate)
    cpu = time.process_time()
    if options.kind == "raw":
        sent = run_loop(send_raw(*arguments))
    else:
        sent = send_by_sessions(*arguments)
    results.put((sent, time.process_time() - cpu))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=("raw", "sessions"), required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--connections", type=int, default=32, help="of each process")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--certificate", default="", help="whom to trust, for TLS")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    processes = [
        context.Process(target=run, args=(options, results), daemon=True)
        for _ in range(options.processes)
    ]
    for process in processes:
        process.start()
    found = [results.get(timeout=options.seconds + 60) for _ in processes]
    for process in processes:
        process.join()
    sent = sum(count for count, _ in found)
    cpu = sum(seconds for _, seconds in found)
    sys.stdout.write(json.dumps({"rate": sent / options.seconds, "cpu": cpu / sent}))


if __name__ == "__main__":
    main()
