"""Claiming rows and reporting them, one or whatever is due."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

from django.db import DatabaseError, connections, router

from django_button_orders.conf import account_names, get_settings
from django_button_orders.delivery import Attempt, perform, prepare
from django_button_orders.failures import describe_for_log
from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.querysets import ButtonOrderQuerySet
from django_button_orders.record import PAUSE_SECONDS, record
from django_button_orders.verdicts import Outcome

logger = logging.getLogger(__name__)

Progress = Callable[[str], object]


def database_aliases() -> list[str]:
    """
    Return the databases that hold rows, those of the shop's orders.

    A router that does not allow this app's migrations on a database, such as
    a replica, leaves it out.
    """
    return [
        alias
        for alias in connections
        if router.allow_migrate_model(alias, ButtonOrder) and has_table(alias)
    ]


def has_table(alias: str) -> bool:
    try:
        tables = connections[alias].introspection.table_names()
    except Exception as exc:  # noqa: BLE001 - none may keep the sweep from the others
        logger.warning("Database %s: %s", alias, describe_for_log(exc))
        return False
    return ButtonOrder._meta.db_table in tables


def enabled_rows(using: str) -> ButtonOrderQuerySet:
    """Return the rows of accounts whose orders are sent at all."""
    disabled = [name for name in account_names() if not get_settings(name).enabled]
    rows = ButtonOrder.objects.using(using).all()
    return rows.exclude(account__in=disabled) if disabled else rows


def claim(rows: ButtonOrderQuerySet, *, limit: int) -> list[Attempt]:
    """Claim due rows, of paused accounts only what may probe them."""
    lease_seconds = get_settings().lease_seconds
    lease_ends = time.monotonic() + lease_seconds
    paused = PausedAccount.objects.using(rows.db)
    open_rows = rows.exclude(account__in=paused.values("account"))
    claimed = open_rows.claim(limit=limit, lease_seconds=lease_seconds)
    for account in paused.probeable().values_list("account", flat=True):
        probes = rows.filter(account=account)
        if probes.due().exists() and paused.take_probe(account, seconds=PAUSE_SECONDS):
            claimed += probes.claim(limit=1, lease_seconds=lease_seconds)
    return [Attempt(row=row, lease_ends=lease_ends) for row in claimed]


def report(
    pk: int, *, using: str, trigger: str = "save", user_id: str | None = None
) -> float | None:
    """
    Make one attempt at a row, if it is due and nobody else's.

    Return the seconds until its next attempt, or None when there is none.
    """
    for attempt in claim(enabled_rows(using).filter(pk=pk), limit=1):
        prepared = prepare(attempt)
        return record(perform(prepared), trigger=trigger, user_id=user_id)
    return None


def report_due(
    *,
    using: str,
    trigger: str = "sweep",
    rows: ButtonOrderQuerySet | None = None,
    seconds: float = float("inf"),
    progress: Progress = lambda outcome: None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Counter[str]:
    """
    Report what is due in one database, for at most about so many seconds.

    ``rows`` narrows it down. ``progress`` is called with each outcome. Once
    ``is_stopped()``, what has begun is finished and the rest given back.
    Return how many attempts had which outcome.
    """
    ends = time.monotonic() + seconds
    rows = enabled_rows(using) if rows is None else rows
    settings = get_settings()
    outcomes: Counter[str] = Counter()
    with ThreadPoolExecutor(settings.concurrency, "button-orders") as pool:
        while time.monotonic() < ends and not is_stopped():
            batch: Counter[str] = Counter()
            for attempt in perform_all(
                pool, claim(rows, limit=settings.batch_size), is_stopped
            ):
                record(attempt, trigger=trigger)
                outcome = attempt.verdict.outcome.value if attempt.verdict else ""
                batch[outcome] += 1
                progress(outcome)
            outcomes += batch
            # What was only given back would be claimed again, without end.
            if not batch.keys() - {Outcome.RELEASE.value}:
                break
    return outcomes


def report_due_safely(*, using: str, seconds: float) -> None:
    """Report what is due in one database, whatever happens in another."""
    try:
        report_due(using=using, seconds=seconds)
    except DatabaseError as exc:
        logger.error(  # noqa: TRY400 - a traceback may quote a customer's data
            "The sweep of database %s stopped: %s", using, describe_for_log(exc)
        )


def perform_all(
    pool: ThreadPoolExecutor,
    attempts: list[Attempt],
    is_stopped: Callable[[], bool],
) -> Iterator[Attempt]:
    """
    Make the calls of a batch in threads, and yield the attempts as they end.

    The threads stay away from the database. An account whose key is refused
    gets no more calls, and nothing gets any once the caller is gone.
    """
    refused: set[str] = set()
    abandoned = threading.Event()

    def is_over(account: str) -> bool:
        return account in refused or abandoned.is_set() or is_stopped()

    def run(attempt: Attempt) -> Attempt:
        done = perform(attempt, is_stopped=is_over)
        if done.verdict and done.verdict.outcome is Outcome.PAUSE:
            refused.add(done.row.account)
        return done

    try:
        # Prepared here while the first are being sent, and only as long as
        # there is time to send them: the rest is given back.
        futures = [pool.submit(run, prepare(attempt)) for attempt in attempts]
        for future in as_completed(futures):
            yield future.result()
    finally:
        abandoned.set()
