from __future__ import annotations

import time

from django.test import SimpleTestCase

from django_button_orders.clock import monotonic
from tests.frozen import frozen
from tests.utils import LONG_AGO


class MonotonicTests(SimpleTestCase):
    def test_frozen_by_a_test(self):
        before = time.monotonic()

        with frozen(LONG_AGO):
            assert time.monotonic() == LONG_AGO.timestamp()
            during = monotonic()

        assert before <= during <= time.monotonic()
