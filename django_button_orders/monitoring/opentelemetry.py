"""
Metrics and spans for OpenTelemetry, which the extra ``opentelemetry`` installs.

Call ``instrument_metrics()`` in one process, such as Celery beat's, and
``instrument_calls()`` in each process that reports orders. Call them after
``django.setup()``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider

from django_button_orders import __version__
from django_button_orders.client.exceptions import ButtonError
from django_button_orders.clock import Clock, monotonic
from django_button_orders.delivery.attempt import Call
from django_button_orders.models.databases import (
    allowed_aliases,
    borrowed_connection,
    has_table,
)
from django_button_orders.monitoring.current import find_statistics
from django_button_orders.monitoring.metrics import (
    METRICS,
    PING,
    Metric,
    Sample,
    make_samples,
)
from django_button_orders.signals import call_ended

NAME = "django_button_orders"
UID = f"{__name__}.instrument_calls"
# One collection reads each gauge by itself. All of them share one reading.
FRESH_SECONDS = 1.0
NANOSECONDS = 1_000_000_000
MILLISECOND = 1_000_000


def instrument_metrics(
    meter_provider: MeterProvider | None = None,
    *,
    clock: Clock = monotonic,
) -> None:
    """Register an observable gauge for each metric, except the ping."""
    meter = metrics.get_meter(NAME, __version__, meter_provider)
    readings = Readings(clock)
    for metric in METRICS:
        if metric != PING:
            meter.create_observable_gauge(
                metric.name,
                [readings.callback(metric)],
                unit=metric.unit,
                description=metric.description,
            )


class Readings:
    """Reads the figures of all databases, at most once a second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.read_at = -FRESH_SECONDS
        self.samples: list[Sample] = []

    def callback(
        self, metric: Metric
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            return [
                Observation(float(value), dict(labels))
                for found, labels, value in self.read()
                if found == metric
            ]

        return observe

    def read(self) -> list[Sample]:
        now = self.clock()
        if now - self.read_at >= FRESH_SECONDS:
            self.samples, self.read_at = read_samples(), now
        return self.samples


def read_samples() -> list[Sample]:
    samples: list[Sample] = []
    for alias in allowed_aliases():
        with borrowed_connection(alias):
            if has_table(alias):
                samples += make_samples(find_statistics(alias))
    return samples


def instrument_calls(tracer_provider: TracerProvider | None = None) -> None:
    """Create a span for each call to Button. It contains no bodies."""
    tracer = trace.get_tracer(NAME, __version__, tracer_provider)

    def create_span(
        sender: object, order_id: str, account: str, exchange: Call, **_: Any
    ) -> None:
        start = round(exchange.started_at.timestamp() * NANOSECONDS)
        span = tracer.start_span(
            f"{exchange.method} {exchange.operation}",
            kind=SpanKind.CLIENT,
            start_time=start,
            attributes=attributes_of(order_id, account, exchange),
        )
        if isinstance(exchange.answer, ButtonError):
            span.set_status(Status(StatusCode.ERROR, str(exchange.answer)))
        elif not exchange.answer.is_success:
            span.set_status(StatusCode.ERROR)
        span.end(start + exchange.duration_ms * MILLISECOND)

    call_ended.connect(create_span, weak=False, dispatch_uid=UID)


def attributes_of(order_id: str, account: str, call: Call) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "http.request.method": call.method,
        "server.address": urlsplit(call.url).hostname or "",
        "button_orders.operation": call.operation,
        "button_orders.account": account,
        "button_orders.order_id": order_id,
    }
    if call.status_code is not None:
        attributes["http.response.status_code"] = call.status_code
    return attributes
