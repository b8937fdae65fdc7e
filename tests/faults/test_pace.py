"""``RATE_LIMIT``, over all processes together."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_button_orders.models import ButtonOrder, Submission
from tests.faults.processes import wait_for
from tests.utils import PURCHASED

pytestmark = pytest.mark.faults

RATE = 20
WINDOW = timedelta(seconds=10)
ORDERS = 400


@pytest.mark.once_on("postgresql")
def test_five_workers_and_a_command(setting, make_lab):
    """All callers together keep to ``RATE_LIMIT``, and use all of it."""
    lab = make_lab(setting, RATE_LIMIT=RATE)
    lab.open(workers=5)
    lab.start("sweep", "manage.py", "button_orders_report", "--loop", "--interval", "1")
    lab.rows.bulk_create(
        ButtonOrder(
            order_id=f"{number}", total=100, currency="USD", purchase_date=PURCHASED
        )
        for number in range(ORDERS)
    )
    wait_for("all to be reported", lambda: lab.reported() == ORDERS, 120)

    submissions = Submission.objects.using(lab.rows.db).order_by("started_at")
    started = list(submissions.values_list("started_at", flat=True))
    windows = [
        sum(1 for moment in started[at:] if moment < first + WINDOW)
        for at, first in enumerate(started)
    ]
    expected = RATE * WINDOW.seconds
    assert len(started) == lab.button.calls() == ORDERS
    assert expected * 0.95 <= max(windows) <= expected * 1.05
    print(f"{RATE} a second: at most {max(windows)} calls in {WINDOW.seconds} seconds")
