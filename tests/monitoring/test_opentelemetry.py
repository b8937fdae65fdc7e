from __future__ import annotations

import threading
from functools import partial

import pytest
import requests
import responses
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import TestCase, TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from django_button_orders.delivery.sweep import report_due
from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.monitoring import opentelemetry
from django_button_orders.signals import call_ended
from tests.monitoring.utils import add_calls, sweep
from tests.utils import add_answer, button_settings, create_row, order_url


@override_settings(BUTTON_ORDERS=button_settings())
class MetricTests(TestCase):
    databases = {"default", "archive"}

    def setUp(self):
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])
        self.addCleanup(self.provider.shutdown)
        self.seconds = 0.0
        opentelemetry.instrument_metrics(self.provider, clock=lambda: self.seconds)

    def collect(self):
        """Return the exported values by name and labels."""
        self.seconds += 60
        data = self.reader.get_metrics_data()
        [scope] = data.resource_metrics[0].scope_metrics
        return {
            metric.name: {
                tuple(point.attributes.values()): point.value
                for point in metric.data.data_points
            }
            for metric in scope.metrics
        }

    def test_figures(self):
        row = create_row()
        create_row(order_id="2", using="archive", currency="JPY", total=300)
        add_calls(row, 20)
        sweep()

        found = self.collect()

        assert found["button_orders_orders"]["default", "pending"] == 1
        assert found["button_orders_amount"] == {
            ("default", "pending", "USD"): 70.0,
            ("archive", "pending", "JPY"): 300.0,
        }
        duration = found["button_orders_call_duration_seconds"]
        assert duration["default", "24h", "0.5"] == pytest.approx(0.02)
        assert set(found["button_orders_last_sweep_age_seconds"]) == {("default",)}

    def test_they_change(self):
        assert self.collect()["button_orders_paused_accounts"] == {
            ("default",): 0,
            ("archive",): 0,
        }

        PausedAccount.objects.pause("eu", seconds=60, error="401")

        assert self.collect()["button_orders_paused_accounts"]["default",] == 1

    def test_one_collection_reads_once(self):
        with CaptureQueriesContext(connection) as queries:
            self.collect()

        table = PausedAccount._meta.db_table
        assert sum(table in query["sql"] for query in queries) == 1


class ThreadTests(TransactionTestCase):
    databases = {"default", "archive"}

    def test_gives_back_its_connections(self):
        """Nothing else closes the connection of the reader's thread."""
        closed = []

        def note_closing(alias):
            closed.append(alias)
            # Django leaves connections to a database in memory open.
            BaseDatabaseWrapper.close(connections[alias])

        def collect():
            for alias in self.databases:
                connections[alias].close = partial(note_closing, alias)
            opentelemetry.read_samples()

        with override_settings(BUTTON_ORDERS=button_settings()):
            thread = threading.Thread(target=collect)
            thread.start()
            thread.join()

        assert sorted(closed) == ["archive", "default"]


@override_settings(BUTTON_ORDERS=button_settings())
class SpanTests(TestCase):
    def setUp(self):
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)
        self.exporter = InMemorySpanExporter()
        self.provider = provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        opentelemetry.instrument_calls(provider)
        self.addCleanup(call_ended.disconnect, dispatch_uid=opentelemetry.UID)
        create_row(customer={"id": "customer-7"})

    def spans(self):
        report_due(using="default")
        return self.exporter.get_finished_spans()

    def test_call(self):
        add_answer("POST")

        [span] = self.spans()

        assert span.name == "POST create"
        assert span.kind is SpanKind.CLIENT
        assert dict(span.attributes) == {
            "http.request.method": "POST",
            "http.response.status_code": 200,
            "server.address": "button.test",
            "button_orders.operation": "create",
            "button_orders.account": "default",
            "button_orders.order_id": "1994",
        }
        assert span.status.status_code is StatusCode.UNSET

    def test_parent(self):
        """The calls of a task are part of its trace, although threads make them."""
        add_answer("POST")
        tracer = self.provider.get_tracer("celery")

        with tracer.start_as_current_span("task") as task:
            [span] = self.spans()

        assert span.parent.span_id == task.get_span_context().span_id

    def test_time(self):
        add_answer("POST")

        [span] = self.spans()

        submission = ButtonOrder.objects.get().submissions.get()
        assert span.start_time / 1e9 == pytest.approx(
            submission.started_at.timestamp(), abs=1e-3
        )
        assert span.end_time - span.start_time == submission.duration_ms * 1_000_000

    def test_refusal(self):
        add_answer("POST", status=422)

        [span] = self.spans()

        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes["http.response.status_code"] == 422

    def test_no_answer(self):
        add_answer("POST", body=requests.ConnectionError("sk-tests"))

        [span] = self.spans()

        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description
        assert "http.response.status_code" not in span.attributes

    def test_neither_key_nor_customer(self):
        add_answer("POST", json={"error": {"message": "customer-7 sk-tests"}})

        [span] = self.spans()

        assert "customer-7" not in span.to_json()
        assert "sk-tests" not in span.to_json()

    def test_two_calls_of_one_attempt(self):
        add_answer("POST", status=409)
        add_answer("GET", order_url(), status=404, json={})

        assert [span.name for span in self.spans()] == ["POST create", "GET retrieve"]
