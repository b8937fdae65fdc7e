"""Claim due rows: of which accounts, how many, and in which order."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from django_button_orders.clock import monotonic
from django_button_orders.conf import account_names, get_settings
from django_button_orders.delivery.attempt import Attempt
from django_button_orders.delivery.rate_limit import Turns
from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.accounts import PAUSE_SECONDS
from django_button_orders.models.orders import ButtonOrderQuerySet

# Seconds between looks for accounts that have become due, and for probes.
ROUND_SECONDS = 1.0


def enabled_rows(using: str) -> ButtonOrderQuerySet:
    """Return the rows of the accounts for which ``ENABLED`` is true."""
    disabled = [name for name in account_names() if not get_settings(name).enabled]
    rows = ButtonOrder.objects.using(using).all()
    return rows.exclude(account__in=disabled) if disabled else rows


def is_any_limited() -> bool:
    """Return whether any account has a ``RATE_LIMIT``."""
    return any(get_settings(name).rate_limit is not None for name in account_names())


def claim_one(
    pk: int,
    *,
    using: str,
    trigger: str,
    user_id: str | None = None,
    on_throttled: Callable[[], object] = lambda: None,
) -> list[Attempt]:
    """
    Claim one row, if it is due and nobody else has it.

    Calls ``on_throttled`` if the row is due and ``RATE_LIMIT`` has no turn for it.
    """
    claims = Claims(enabled_rows(using).filter(pk=pk), trigger=trigger)
    attempts = claims.claim_the_only_one()
    if claims.is_throttled:
        on_throttled()
    for attempt in attempts:
        attempt.user_id = user_id
    return attempts


class Claims:
    """
    Claims of due rows, a batch of one account after a batch of another.

    So no account waits for the backlog of another. No more rows are claimed than
    ``RATE_LIMIT`` allows to call shortly. Of a paused account, one row is claimed
    every few minutes, to probe the key.
    """

    def __init__(self, rows: ButtonOrderQuerySet, *, trigger: str = "sweep") -> None:
        self.rows = rows
        self.trigger = trigger
        self.paused = PausedAccount.objects.using(rows.db)
        # The accounts that may have something due, the next one first.
        self.accounts: deque[str] = deque()
        self.round_ends = 0.0
        self.turns = Turns()
        self.is_limited = is_any_limited()
        # Accounts of which more may be due than was claimed last.
        self.unfinished: set[str] = set()
        # Whether a due row was left because its account has no turn left.
        self.is_throttled = False

    def claim(self, limit: int) -> list[Attempt]:
        """Claim up to ``limit`` rows of one account. Empty when nothing is due."""
        attempts: list[Attempt] = []
        self.is_throttled = False
        if monotonic() < self.round_ends:
            attempts = self.claim_next(limit)
        return attempts or self.begin_round() or self.claim_next(limit)

    def begin_round(self) -> list[Attempt]:
        """Look for accounts that have become due, and claim probes."""
        self.round_ends = monotonic() + ROUND_SECONDS
        due = self.rows.pending().accounts()
        others = [name for name in due if name not in self.accounts]
        # An account whose calls hang may take up one sweep, but not each of them.
        random.shuffle(others)
        self.accounts.extend(others)
        return self.claim_probes()

    def claim_next(self, limit: int) -> list[Attempt]:
        """Claim rows of the next account that has some due, and a turn to call."""
        for _ in range(len(self.accounts)):
            account = self.accounts.popleft()
            rows = self.open_rows().filter(account=account)
            room = self.turns.room(account, limit) if self.is_limited else limit
            if not room:
                self.is_throttled |= rows.due().exists()
                self.accounts.append(account)
                continue
            attempts = self.lease(rows, room)
            self.unfinished.discard(account)
            if len(attempts) == room:
                self.accounts.append(account)
                self.unfinished.add(account)
            if attempts:
                if self.is_limited:
                    self.assign_turns(account, attempts)
                return attempts
        return []

    def claim_the_only_one(self) -> list[Attempt]:
        """Claim the row, where ``rows`` is a single one."""
        rows = self.open_rows()
        if self.is_limited:
            account = rows.due().values_list("account", flat=True).first()
            if account and not self.turns.room(account, 1, yields_to_others=False):
                self.is_throttled = True
                return []
        attempts = self.lease(rows, 1)
        if attempts and self.is_limited:
            self.assign_turns(attempts[0].row.account, attempts)
        return attempts or self.claim_probes()

    def claim_probes(self) -> list[Attempt]:
        """Claim one row of each paused account whose key may be tried again."""
        attempts = []
        for account in self.paused.probeable().values_list("account", flat=True):
            rows = self.rows.filter(account=account)
            if not rows.due().exists():
                continue
            if self.paused.reserve_probe(account, seconds=PAUSE_SECONDS):
                claimed = self.lease(rows, 1)
                attempts += claimed
                if not claimed:
                    # Somebody else has the row: the next one is the probe.
                    self.paused.probe_now(account)
        for attempt in attempts:
            attempt.is_probe = True
        return attempts

    def open_rows(self) -> ButtonOrderQuerySet:
        """Return the rows of accounts that are not paused."""
        return self.rows.exclude(account__in=self.paused.values("account"))

    def assign_turns(self, account: str, attempts: list[Attempt]) -> None:
        """Set when each attempt may call its account."""
        moments = self.turns.reserve(account, len(attempts))
        for attempt, moment in zip(attempts, moments, strict=True):
            attempt.not_before = moment

    def lease(self, rows: ButtonOrderQuerySet, limit: int) -> list[Attempt]:
        """Lease up to ``limit`` of the rows that are due."""
        lease_seconds = get_settings().lease_seconds
        lease_ends = monotonic() + lease_seconds
        claimed = rows.claim(limit=limit, lease_seconds=lease_seconds)
        return [
            Attempt(row=row, lease_ends=lease_ends, trigger=self.trigger)
            for row in claimed
        ]
