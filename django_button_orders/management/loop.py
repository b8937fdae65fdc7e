"""Report without end and without Celery, as beat and a worker would do it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import Error, connections

from django_button_orders.clock import Clock, monotonic
from django_button_orders.delivery.claims import enabled_rows
from django_button_orders.delivery.sweep import SWEEP_SECONDS, SweepLimits, report_due
from django_button_orders.management.base import Stop
from django_button_orders.models.databases import (
    NOT_MIGRATED,
    allowed_aliases,
    has_table,
)
from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.printable import get_logger
from django_button_orders.report.privacy import describe_for_log
from django_button_orders.tasks.periodic import (
    PRUNE,
    QUEUED_ACTIONS,
    RECONCILE,
    Job,
    end_sweep,
    run_or_log,
)

logger = get_logger(__name__)

# A failed job is retried after this time, unless it is due earlier.
RETRY_SECONDS = 3600.0
LONGEST_WAIT_SECONDS = 30.0
LOG_SECONDS = 60.0

Narrow = Callable[[ButtonOrderQuerySet], ButtonOrderQuerySet]


@dataclass(kw_only=True)
class DatabaseBackoff:
    """Says when to try a database again: less often after each failure."""

    alias: str
    wait_seconds: float
    clock: Clock
    failures: int = 0
    try_at: float = float("-inf")
    log_at: float = float("-inf")

    def is_over(self) -> bool:
        return self.clock() >= self.try_at

    def extend(self, exc: Error) -> None:
        """Wait twice as long as the last time, and log the error once a minute."""
        wait = min(self.wait_seconds * 2.0**self.failures, LONGEST_WAIT_SECONDS)
        self.failures = min(self.failures + 1, 10)
        self.try_at = self.clock() + wait
        if self.clock() >= self.log_at:
            self.log_at = self.clock() + LOG_SECONDS
            # Without a traceback, which may quote a customer's data.
            logger.error(
                "Database %s failed: %s. The loop retries until it answers.",
                self.alias,
                describe_for_log(exc),
            )

    def reset(self) -> None:
        """Start anew, because the database has answered."""
        if self.failures:
            logger.warning("Database %s answers again.", self.alias)
        self.failures, self.log_at = 0, float("-inf")


@dataclass(kw_only=True)
class Loop:
    """
    Sweeps each database in turn, and runs the periodic jobs when they are due.

    ``narrow`` selects the rows to report. ``is_whole`` says that it selects all of
    them; only then is a sweep recorded for the figures.
    """

    stop: Stop
    interval: float
    narrow: Narrow
    is_whole: bool = True
    jobs: tuple[Job, ...] = (QUEUED_ACTIONS, RECONCILE, PRUNE)
    clock: Clock = monotonic
    outcomes: Counter[str] = field(default_factory=Counter)
    backoffs: dict[str, DatabaseBackoff] = field(default_factory=dict)
    # The time at which each job is due in each database. At first, all of them are.
    due_at: defaultdict[tuple[str, str], float] = field(
        default_factory=lambda: defaultdict(lambda: float("-inf"))
    )
    has_tables: bool = False
    has_warned: bool = False

    def run(self) -> Counter[str]:
        """Work until the command is told to stop. Return the counts of outcomes."""
        while not self.stop.is_set:
            if not self.work_in_each_database():
                self.stop.wait(self.interval)
        return self.outcomes

    def work_in_each_database(self) -> bool:
        """Work in each database that answers. Return whether there is more to do."""
        close_broken_connections()
        has_more = False
        for alias in allowed_aliases():
            backoff = self.backoff(alias)
            if self.stop.is_set or not backoff.is_over():
                continue
            try:
                has_more |= self.is_migrated(alias) and self.work(alias)
            except Error as exc:
                backoff.extend(exc)
            else:
                backoff.reset()
        self.warn_of_missing_tables()
        return has_more

    def backoff(self, alias: str) -> DatabaseBackoff:
        if alias not in self.backoffs:
            self.backoffs[alias] = DatabaseBackoff(
                alias=alias, wait_seconds=self.interval, clock=self.clock
            )
        return self.backoffs[alias]

    def is_migrated(self, alias: str) -> bool:
        is_migrated = has_table(alias)
        self.has_tables |= is_migrated
        return is_migrated

    def warn_of_missing_tables(self) -> None:
        """Log once that no database has tables, as before 'migrate' has run."""
        # A database that is away may have them.
        is_away = any(backoff.failures for backoff in self.backoffs.values())
        if not (self.has_tables or self.has_warned or is_away):
            self.has_warned = True
            logger.warning("%s The loop waits until then.", NOT_MIGRATED)

    def work(self, alias: str) -> bool:
        """Sweep a database and run its jobs. Return whether there is more to do."""
        outcomes = self.sweep(alias)
        are_complete = [self.run_if_due(job, alias) for job in self.jobs]
        # Another sweep would only release again what this one has released.
        return not all(are_complete) or not outcomes.keys() <= {"release"}

    def sweep(self, alias: str) -> Counter[str]:
        outcomes = report_due(
            using=alias,
            rows=self.narrow(enabled_rows(alias)),
            limits=SweepLimits(
                seconds=SWEEP_SECONDS,
                is_stopped=lambda: self.stop.is_set,
                is_patient=True,
            ),
        )
        self.outcomes += outcomes
        if self.is_whole:
            end_sweep(alias)
        return outcomes

    def run_if_due(self, job: Job, alias: str) -> bool:
        """Run a job for a while if it is due. Return whether nothing of it is left."""
        key = (job.key, alias)
        if self.clock() < self.due_at[key]:
            return True
        ends = self.clock() + job.slice_seconds

        def is_over() -> bool:
            return self.stop.is_set or self.clock() >= ends

        is_complete = run_or_log(
            lambda alias: job.run(alias, is_over), alias, job.title
        )
        if is_complete is False:
            return False
        wait = job.seconds if is_complete else min(job.seconds, RETRY_SECONDS)
        self.due_at[key] = self.clock() + wait
        return True


def close_broken_connections() -> None:
    """Close broken connections, as Django does before each request."""
    for connection in connections.all(initialized_only=True):
        # Django would also close one that is in the middle of a transaction.
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
