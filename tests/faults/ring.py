"""Publish a task many times: python -m tests.faults.ring TASK PK ... --times N"""

from __future__ import annotations

import argparse

import django

django.setup()

from config.celery import app  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task")
    parser.add_argument("pks", type=int, nargs="+")
    parser.add_argument("--times", type=int, default=1)
    options = parser.parse_args()
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(options.times):
            for pk in options.pks:
                app.send_task(options.task, (pk,), producer=producer)


if __name__ == "__main__":
    main()
