"""A TCP proxy that refuses connections, cuts them, or swallows packets."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 65536
# With this option of SO_LINGER, close() resets the connection.
RESET = struct.pack("ii", 1, 0)


class Gate:
    """
    Forward connections to a port of this machine.

    ``shut()`` refuses new connections and resets open ones. ``swallow()`` accepts all
    bytes and never answers. ``open()`` forwards again.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.lock = threading.Lock()
        self.listener: socket.socket | None = None
        self.sockets: set[socket.socket] = set()
        self.is_swallowing = threading.Event()
        self.port = 0
        self.open()

    def open(self) -> None:
        if self.is_swallowing.is_set():
            # Swallowed bytes are lost, so their connections cannot go on.
            self.is_swallowing.clear()
            self.cut()
        if self.listener is not None:
            return
        listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.port = listener.getsockname()[1]
        self.listener = listener
        threading.Thread(target=self.accept, args=(listener,), daemon=True).start()

    def shut(self) -> None:
        listener, self.listener = self.listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def swallow(self) -> None:
        self.is_swallowing.set()

    def cut(self) -> None:
        """Reset all open connections."""
        with self.lock:
            sockets, self.sockets = self.sockets, set()
        for item in sockets:
            with suppress(OSError):
                item.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                item.shutdown(socket.SHUT_RDWR)
            item.close()

    def accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.join(client)

    def join(self, client: socket.socket) -> None:
        ends = [client]
        if not self.is_swallowing.is_set():
            try:
                ends.append(socket.create_connection(("127.0.0.1", self.target), 5))
            except OSError:
                client.close()
                return
            ends[1].settimeout(None)
        with self.lock:
            self.sockets.update(ends)
        for source in ends:
            # cut() may have closed it already.
            with suppress(OSError):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            others = [end for end in ends if end is not source]
            threading.Thread(
                target=self.pump, args=(source, others), daemon=True
            ).start()

    def pump(self, source: socket.socket, others: list[socket.socket]) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if self.is_swallowing.is_set():
                    continue
                for other in others:
                    other.sendall(data)
        for end in (source, *others):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        with self.lock:
            self.sockets.difference_update([source, *others])


@contextmanager
def dropping_port() -> Iterator[int]:
    """Yield a port that drops connections: its queue of waiting ones is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        # With a full backlog, the kernel ignores further connections.
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        try:
            yield listener.getsockname()[1]
        finally:
            for sock in waiting:
                sock.close()
