from __future__ import annotations

from django.test import TestCase, override_settings

from django_button_orders.models import ButtonOrder
from django_button_orders.monitoring.current import find_statistics
from django_button_orders.monitoring.metrics import METRICS, PING, make_samples
from tests.monitoring.utils import add_calls, sweep
from tests.utils import button_settings, create_row


@override_settings(BUTTON_ORDERS=button_settings())
class LabelTests(TestCase):
    def test_each_sample_has_the_labels_of_its_metric(self):
        add_calls(create_row(), 20)
        create_row(order_id="2")
        ButtonOrder.objects.filter(order_id="2").update(site="another")
        create_row(order_id="3", status="closed", late_amount=2500)
        sweep()

        samples = list(make_samples(find_statistics("default")))

        assert {sample.metric for sample in samples} == {*METRICS} - {PING}
        for metric, labels, _ in samples:
            with self.subTest(name=metric.name):
                assert tuple(labels) == ("database", *metric.labels)
