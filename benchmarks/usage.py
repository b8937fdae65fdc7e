"""CPU time and memory of processes and their children."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil

MEBIBYTE = 1 << 20


def tree(pids: Iterable[int]) -> list[psutil.Process]:
    found = []
    for pid in pids:
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            found += [process, *process.children(recursive=True)]
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU seconds of processes and all their children."""
    total = 0.0
    for process in tree(pids):
        with suppress(psutil.Error):
            total += sum(process.cpu_times()[:4])
    return total


def memory_mib(pids: Iterable[int]) -> float:
    """Return the memory of the largest process that runs tasks."""
    sizes = [0]
    for pid in pids:
        processes = tree([pid])
        # The parent of a prefork pool only distributes tasks.
        for process in processes[1:] or processes:
            with suppress(psutil.Error):
                sizes.append(process.memory_info().rss)
    return max(sizes) / MEBIBYTE


@dataclass
class Memory:
    """Samples of the memory of the largest process."""

    samples: list[float] = field(default_factory=list)

    @property
    def peak(self) -> float:
        return max(self.samples, default=0.0)

    @property
    def growth(self) -> float:
        """The ratio of the last fifth's peak to the second fifth's."""
        fifth = len(self.samples) // 5
        if fifth == 0:
            return 1.0
        return max(self.samples[-fifth:]) / max(self.samples[fifth : 2 * fifth])

    def course(self, points: int = 8) -> list[int]:
        """Return about ``points`` of the samples."""
        step = max(1, len(self.samples) // points)
        return [round(value) for value in self.samples[::step]][: points + 1]


@contextmanager
def watched(pids: Iterable[int], *, seconds: float = 0.25) -> Iterator[Memory]:
    """Sample the memory of processes during the block."""
    memory, ended = Memory(), threading.Event()

    def watch() -> None:
        while not ended.is_set():
            memory.samples.append(memory_mib(pids))
            ended.wait(seconds)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        ended.set()
        thread.join()
