"""Give the tests, and the processes that they start, what a terminal gives."""

from __future__ import annotations

import os
import signal
import threading

# Shops with settings of their own, which ``make`` names with ``--ds``.
SHOPS = ("oscar", "oscar_forked", "recipes", "themes")
collect_ignore = [
    shop
    for shop in SHOPS
    if not os.environ.get("DJANGO_SETTINGS_MODULE", "").startswith(f"tests.{shop}.")
]


def pytest_configure() -> None:
    # A shell starts what it runs in the background with SIGINT ignored, and neither
    # Python nor the processes of the tests would end at a Ctrl-C.
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if is_ignored and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
