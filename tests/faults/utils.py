"""Assertions with which the fault tests end."""

from __future__ import annotations

from typing import Any

from tests.faults.lab import Comparison, Lab
from tests.faults.processes import Process

# The default of the setting, calls in flight of one sweep.
CONCURRENCY = 16
LEASE_LOST = "the lease was lost"
# The API key, plain and as Basic authentication encodes it, and customers' addresses.
SECRETS = ("sk-sandbox", "c2stc2FuZGJveD", "@example.com")
# A save takes some milliseconds. On a machine that is busy with these tests, a few take
# much longer. If saves waited for a broker, many of them would be slow.
USUAL_SAVE_SECONDS = 1.0
SLOWEST_SAVE_SECONDS = 5.0


def assert_agreement(
    lab: Lab,
    state: Any,
    *,
    unrecorded: int = 0,
    second_creates: int = 0,
    saves_may_fail: bool = False,
    **facts: object,
) -> Comparison:
    """
    Assert that the shop, the rows and Button agree on every order.

    Calls may lack a submission for the orders in ``lab.held`` and for up to
    ``unrecorded`` others. Up to ``second_creates`` creates may be sent for orders that
    Button already has. ``saves_may_fail`` is for faults of the shop's own database.
    ``state`` adds ``facts`` and the counts to the summary of the run.
    """
    failed = failed_saves(lab)
    assert saves_may_fail or not failed, failed[:5]
    found = lab.compare()
    state(
        orders=found.sold,
        **facts,
        second_creates=found.second_creates,
        unrecorded=found.unrecorded.total(),
    )
    assert found.sold > 0
    problems = found.problems()
    assert not problems, f"seed {lab.seed}: {problems}"
    assert found.second_creates <= second_creates, found.second_creates
    unexplained = found.unexplained(lab.held)
    assert len(unexplained) <= unrecorded, f"seed {lab.seed}: {unexplained}"
    assert_secrets_kept(lab)
    return found


def assert_secrets_kept(lab: Lab) -> None:
    """Assert that no output contains the API key or a customer's address."""
    lines = [
        line
        for line in lab.outputs().splitlines()
        if any(secret in line for secret in SECRETS)
    ]
    assert not lines, lines[:5]


def assert_sacred(lab: Lab, *sellers: Process, extra: float = 0) -> None:
    """
    Assert that no save of the shop failed or waited for a broker.

    A save may take ``extra`` seconds more than usual.
    """
    assert not (failed := failed_saves(lab)), failed[:5]
    seconds = sorted(step["seconds"] for step in lab.steps(*sellers))
    assert seconds[len(seconds) * 99 // 100] <= USUAL_SAVE_SECONDS + extra, seconds
    assert seconds[-1] <= SLOWEST_SAVE_SECONDS + extra, seconds[-5:]


def failed_saves(lab: Lab) -> list[dict[str, Any]]:
    return [step for step in lab.steps() if step["error"]]
