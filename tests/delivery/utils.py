from __future__ import annotations

import responses
from django.test import TestCase, override_settings

from django_button_orders import OrderReport
from django_button_orders.delivery.sweep import report
from tests.utils import (
    PURCHASED,
    add_answer,
    button_settings,
    create_row,
)


@override_settings(BUTTON_ORDERS=button_settings())
class DeliveryTestCase(TestCase):
    def setUp(self):
        super().setUp()
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)

    def report(self, row):
        delay = report(row.pk, using="default")
        row.refresh_from_db()
        return delay

    def create_acknowledged(self, **values):
        add_answer("POST")
        row = create_row(**values)
        self.report(row)
        assert row.status == "reported"
        responses.reset()
        responses.calls.reset()
        return row

    def create_changed(self):
        row = self.create_acknowledged()
        row.total = 6000
        row.save()
        return row

    def create_cancelled(self):
        row = self.create_acknowledged()
        row.cancel()
        return row

    def state(self, row):
        return row.status, row.reason


def good_report(**values):
    return OrderReport(total=1, currency="USD", purchase_date=PURCHASED, **values)
