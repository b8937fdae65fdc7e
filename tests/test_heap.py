from __future__ import annotations

import gc

import pytest
from django.test import SimpleTestCase

from django_button_orders.heap import spared_heap


class SparedHeapTests(SimpleTestCase):
    def setUp(self):
        assert gc.get_freeze_count() == 0
        self.addCleanup(gc.unfreeze)

    def test_what_is_there_is_left_out(self):
        before = len(gc.get_objects())
        with spared_heap():
            assert gc.get_freeze_count() > before // 2
            assert len(gc.get_objects()) < before // 2

        assert gc.get_freeze_count() == 0

    def test_thawed_after_an_error(self):
        with pytest.raises(SystemExit), spared_heap():
            raise SystemExit(1)

        assert gc.get_freeze_count() == 0

    def test_what_others_have_frozen_stays_so(self):
        gc.freeze()
        with spared_heap():
            pass

        assert gc.get_freeze_count() > 1000
