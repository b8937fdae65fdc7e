"""Taking due rows: which accounts are open, and whose turn it is."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable

from django_button_orders.conf import account_names, get_settings
from django_button_orders.delivery.attempt import Attempt
from django_button_orders.delivery.outcome import PAUSE_SECONDS
from django_button_orders.delivery.rate_limit import Turns, is_limited
from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.querysets import ButtonOrderQuerySet


def enabled_rows(using: str) -> ButtonOrderQuerySet:
    """Return the rows of accounts whose orders are sent at all."""
    disabled = [name for name in account_names() if not get_settings(name).enabled]
    rows = ButtonOrder.objects.using(using).all()
    return rows.exclude(account__in=disabled) if disabled else rows


# How often it is looked for accounts that were not there before, and for probes.
ROUND_SECONDS = 1.0


class Claims:
    """
    Claims of due rows, account by account in turn.

    No account has to wait for the backlog of another, and no more of one is
    claimed than may be called shortly. Of a paused account one row is claimed, now
    and then, to probe it.
    """

    def __init__(self, rows: ButtonOrderQuerySet, *, trigger: str = "sweep") -> None:
        self.rows = rows
        self.trigger = trigger
        self.paused = PausedAccount.objects.using(rows.db)
        self.turns: deque[str] = deque()
        self.round_ends = 0.0
        self.pace = Turns()
        # Accounts of which more may be due than was claimed last.
        self.unfinished: set[str] = set()
        # Whether something that is due was left to those who have taken its turn.
        self.is_throttled = False

    def take(self, limit: int) -> list[Attempt]:
        """Claim up to so many rows of one account; none when nothing is due."""
        attempts: list[Attempt] = []
        self.is_throttled = False
        if time.monotonic() < self.round_ends:
            attempts = self.take_turns(limit)
        return attempts or self.begin_round() or self.take_turns(limit)

    def begin_round(self) -> list[Attempt]:
        """Look for accounts that were not there before, and claim probes."""
        self.round_ends = time.monotonic() + ROUND_SECONDS
        accounts = self.rows.pending().accounts()
        others = [name for name in accounts if name not in self.turns]
        # One whose calls hang may take all the time of a sweep, but not of each.
        random.shuffle(others)
        self.turns.extend(others)
        return self.take_probes()

    def take_turns(self, limit: int) -> list[Attempt]:
        for _ in range(len(self.turns)):
            account = self.turns.popleft()
            rows = self.open_rows().filter(account=account)
            room = self.pace.room(account, limit)
            if not room:
                self.is_throttled |= rows.due().exists()
                self.turns.append(account)
                continue
            attempts = self.claim(rows, room)
            self.unfinished.discard(account)
            if len(attempts) == room:
                self.turns.append(account)
                self.unfinished.add(account)
            if attempts:
                self.assign_turns(account, attempts)
                return attempts
        return []

    def assign_turns(self, account: str, attempts: list[Attempt]) -> None:
        moments = self.pace.moments(account, len(attempts))
        for attempt, moment in zip(attempts, moments, strict=True):
            attempt.not_before = moment

    def take_one(self) -> list[Attempt]:
        """Claim the only row that this is about."""
        rows = self.open_rows()
        if is_limited():
            account = rows.due().values_list("account", flat=True).first()
            if account and not self.pace.room(account, 1, joins=False):
                self.is_throttled = True
                return []
        attempts = self.claim(rows, 1)
        for attempt in attempts:
            self.assign_turns(attempt.row.account, [attempt])
        return attempts or self.take_probes()

    def open_rows(self) -> ButtonOrderQuerySet:
        return self.rows.exclude(account__in=self.paused.values("account"))

    def take_probes(self) -> list[Attempt]:
        attempts = []
        for account in self.paused.probeable().values_list("account", flat=True):
            rows = self.rows.filter(account=account)
            is_due = rows.due().exists()
            if not is_due:
                continue
            if self.paused.take_probe(account, seconds=PAUSE_SECONDS):
                claimed = self.claim(rows, 1)
                attempts += claimed
                if not claimed:
                    # Somebody else has the row: the next one is the probe.
                    self.paused.probe_now(account)
        for attempt in attempts:
            attempt.is_probe = True
        return attempts

    def claim(self, rows: ButtonOrderQuerySet, limit: int) -> list[Attempt]:
        lease_seconds = get_settings().lease_seconds
        lease_ends = time.monotonic() + lease_seconds
        claimed = rows.claim(limit=limit, lease_seconds=lease_seconds)
        return [
            Attempt(row=row, lease_ends=lease_ends, trigger=self.trigger)
            for row in claimed
        ]


def claim_one(
    pk: int,
    *,
    using: str,
    trigger: str,
    user_id: str | None = None,
    on_throttled: Callable[[], object] = lambda: None,
) -> list[Attempt]:
    """
    Claim one row, if it is due and nobody else's.

    ``on_throttled`` is called if it is, but not its account's turn.
    """
    claims = Claims(enabled_rows(using).filter(pk=pk), trigger=trigger)
    attempts = claims.take_one()
    if claims.is_throttled:
        on_throttled()
    for attempt in attempts:
        attempt.user_id = user_id
    return attempts
