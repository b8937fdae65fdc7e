"""The memory transport of Kombu, whose import has not ended when a process forks."""

from __future__ import annotations

from tests.tasks.forking import PATIENCE_SECONDS, forking, importing

importing.set()
forking.wait(PATIENCE_SECONDS)

from kombu.transport.memory import Transport  # noqa: E402, F401 - Celery imports it from here, after the wait
