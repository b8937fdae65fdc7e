"""The public path of the functions; their code is in ``monitoring.opentelemetry``."""

from __future__ import annotations

from django_button_orders.monitoring.opentelemetry import (
    instrument_calls,
    instrument_metrics,
)

__all__ = ["instrument_calls", "instrument_metrics"]
