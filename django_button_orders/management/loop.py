"""Reporting without end and without Celery, as beat and a worker would do it."""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import Error, connections

from django_button_orders.beat import DAY, RECONCILE_SECONDS
from django_button_orders.delivery.claims import enabled_rows
from django_button_orders.delivery.sweep import SweepLimits, report_due
from django_button_orders.management.stopping import Stop
from django_button_orders.models.databases import (
    NOT_MIGRATED,
    allowed_aliases,
    has_table,
)
from django_button_orders.models.querysets import ButtonOrderQuerySet
from django_button_orders.monitoring.snapshot import note_sweep
from django_button_orders.operations.retention import prune
from django_button_orders.reconcile.recent import compare_recent
from django_button_orders.report.privacy import describe_for_log

logger = logging.getLogger(__name__)

# A sweep makes room for other databases after this time, and pruning for a sweep.
SWEEP_SECONDS = 10.0
PRUNE_SECONDS = 2.0
# It goes on where it has stopped.
COMPARE_SECONDS = 10.0
# When pruning is tried again that a database has refused.
PRUNE_RETRY_SECONDS = 3600.0
LONGEST_WAIT_SECONDS = 30.0
LOG_SECONDS = 60.0

Clock = Callable[[], float]
Moments = defaultdict[str, float]
Narrow = Callable[[ButtonOrderQuerySet], ButtonOrderQuerySet]


def at_once() -> Moments:
    return defaultdict(lambda: float("-inf"))


@dataclass(kw_only=True)
class Contact:
    """Whether a database answers. One that does not is asked ever more seldom."""

    alias: str
    wait_seconds: float
    clock: Clock
    failures: int = 0
    try_at: float = float("-inf")
    log_at: float = float("-inf")

    def is_due(self) -> bool:
        return self.clock() >= self.try_at

    def note_failure(self, exc: Error) -> None:
        wait = min(self.wait_seconds * 2.0**self.failures, LONGEST_WAIT_SECONDS)
        self.failures = min(self.failures + 1, 10)
        self.try_at = self.clock() + wait
        if self.clock() >= self.log_at:
            self.log_at = self.clock() + LOG_SECONDS
            # Without a traceback, which may quote a customer's data.
            logger.error(
                "Database %s: %s. Tried again until it answers.",
                self.alias,
                describe_for_log(exc),
            )

    def note_answer(self) -> None:
        if self.failures:
            logger.warning("Database %s answers again.", self.alias)
        self.failures, self.log_at = 0, float("-inf")


@dataclass(kw_only=True)
class Loop:
    """
    Sweeps, prunes and compares as often as beat has it done, until it is told to stop.

    ``narrow`` narrows down which rows are reported, unless all are.
    """

    stop: Stop
    interval: float
    narrow: Narrow
    is_whole: bool = True
    clock: Clock = time.monotonic
    outcomes: Counter[str] = field(default_factory=Counter)
    contacts: dict[str, Contact] = field(default_factory=dict)
    # When each database is to be pruned and compared: the first time, at once.
    prune_at: Moments = field(default_factory=at_once)
    compare_at: Moments = field(default_factory=at_once)
    has_tables: bool = False
    is_told: bool = False

    def run(self) -> Counter[str]:
        while not self.stop.is_set:
            if not self.take_turn():
                self.stop.wait(self.interval)
        return self.outcomes

    def take_turn(self) -> bool:
        """Sweep each database that answers. Return whether there may be more."""
        close_broken_connections()
        has_more = False
        for alias in allowed_aliases():
            contact = self.contact(alias)
            if self.stop.is_set or not contact.is_due():
                continue
            try:
                has_more |= self.is_migrated(alias) and self.work(alias)
            except Error as exc:
                contact.note_failure(exc)
            else:
                contact.note_answer()
        self.tell_of_missing_tables()
        return has_more

    def is_migrated(self, alias: str) -> bool:
        is_migrated = has_table(alias)
        self.has_tables |= is_migrated
        return is_migrated

    def tell_of_missing_tables(self) -> None:
        """Say once for what is waited, as when it starts before 'migrate' has run."""
        # One that is away may have them.
        is_away = any(contact.failures for contact in self.contacts.values())
        if not (self.has_tables or self.is_told or is_away):
            self.is_told = True
            logger.warning("%s Waiting for that.", NOT_MIGRATED)

    def contact(self, alias: str) -> Contact:
        if alias not in self.contacts:
            self.contacts[alias] = Contact(
                alias=alias, wait_seconds=self.interval, clock=self.clock
            )
        return self.contacts[alias]

    def work(self, alias: str) -> bool:
        done = report_due(
            using=alias,
            rows=self.narrow(enabled_rows(alias)),
            shift=SweepLimits(
                seconds=SWEEP_SECONDS,
                is_stopped=lambda: self.stop.is_set,
                is_patient=True,
            ),
        )
        self.outcomes += done
        if self.is_whole:
            self.attempt("noted", alias, note_sweep)
        if self.clock() >= self.compare_at[alias]:
            self.compare_at[alias] = self.clock() + RECONCILE_SECONDS
            self.attempt("compared", alias, self.compare)
        is_pruned = self.clock() < self.prune_at[alias] or self.prune(alias)
        # What was only given back would be given back again.
        return not is_pruned or not done.keys() <= {"release"}

    def attempt(self, what: str, alias: str, action: Callable[[str], object]) -> object:
        """Do what may fail: orders are reported all the same. Return what it does."""
        try:
            return action(alias)
        except Exception as exc:  # noqa: BLE001 - also those of a shop's adapters
            logger.error(  # noqa: TRY400 - a traceback may quote a customer's data
                "Database %s is not %s: %s", alias, what, describe_for_log(exc)
            )
            return None

    def compare(self, alias: str) -> None:
        """Find orders of the last days that were written without a signal."""
        compare_recent(
            using=alias,
            seconds=COMPARE_SECONDS,
            is_stopped=lambda: self.stop.is_set,
        )

    def prune(self, alias: str) -> bool:
        """Prune for a while. Return whether that is done for today."""
        is_complete = self.attempt("pruned", alias, self.prune_for_a_while)
        if is_complete is False:
            return False
        wait = DAY if is_complete else PRUNE_RETRY_SECONDS
        self.prune_at[alias] = self.clock() + wait
        return True

    def prune_for_a_while(self, alias: str) -> bool:
        ends = self.clock() + PRUNE_SECONDS

        def is_over() -> bool:
            return self.stop.is_set or self.clock() >= ends

        return prune(using=alias, is_stopped=is_over).is_complete


def close_broken_connections() -> None:
    """Let them be made anew, as Django does it before each request."""
    for connection in connections.all(initialized_only=True):
        # Django would also close one that is in the middle of a transaction.
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
