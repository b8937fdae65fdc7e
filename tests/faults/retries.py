"""Retry all failed rows every half second: python -m tests.faults.retries"""

from __future__ import annotations

import io
import time

import django

django.setup()

from django.core.management import call_command  # noqa: E402


def main() -> None:
    while True:
        # The test reads the rows, and needs no output.
        call_command("button_orders_retry", all=True, stdout=io.StringIO())
        time.sleep(0.5)


if __name__ == "__main__":
    main()
