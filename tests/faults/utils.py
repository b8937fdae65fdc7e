"""What every test of a fault ends with."""

from __future__ import annotations

from typing import Any

from tests.faults.lab import Comparison, Lab
from tests.faults.processes import Process

# Calls that one sweep has under way at once: the default of the settings.
CONCURRENCY = 16
LEASE_LOST = "the lease was lost"
# The key, the same as Basic authentication encodes it, and customers' addresses.
SECRETS = ("sk-sandbox", "c2stc2FuZGJveD", "@example.com")
# A save here takes some milliseconds. On a machine that is busy with everything
# that these tests start, a few take much longer; a broker that is waited for
# would show in many.
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
    Assert that nothing is lost, wrong, late or twice, and say what was counted.

    Calls may lack a submission for the orders that ``lab.note_held()`` has seen,
    and ``unrecorded`` others; ``second_creates`` is how many creates may be sent
    for an order that Button has already; ``saves_may_fail`` is for faults of the
    shop's own database.
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
    """Assert that nothing has said the key, or who a customer is."""
    lines = [
        line
        for line in lab.outputs().splitlines()
        if any(secret in line for secret in SECRETS)
    ]
    assert not lines, lines[:5]


def assert_sacred(lab: Lab, *sellers: Process, extra: float = 0) -> None:
    """
    Assert that no save of the shop failed, and that none waited for a broker.

    ``extra`` is how many seconds a save may take on top of what it takes here.
    """
    assert not (failed := failed_saves(lab)), failed[:5]
    seconds = sorted(step["seconds"] for step in lab.steps(*sellers))
    assert seconds[len(seconds) * 99 // 100] <= USUAL_SAVE_SECONDS + extra, seconds
    assert seconds[-1] <= SLOWEST_SAVE_SECONDS + extra, seconds[-5:]


def failed_saves(lab: Lab) -> list[dict[str, Any]]:
    return [step for step in lab.steps() if step["error"]]
