"""Web processes that are killed in the middle of a checkout."""

from __future__ import annotations

import pytest

from tests.faults.utils import assert_agreement

pytestmark = pytest.mark.faults


def test_killed_while_saving(setting, make_lab, state):
    """20 processes that sell as fast as they can, killed at random moments."""
    lab = make_lab(setting)
    lab.open()
    for _ in range(20):
        lab.kill_a_seller()
    lab.wait_for_quiet()

    assert_agreement(lab, state, kills=20)
