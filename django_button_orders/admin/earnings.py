"""The box on an order's page that says why it earned a commission, or not."""

from __future__ import annotations

from typing import Any

from django_button_orders.models import ButtonOrder
from django_button_orders.monitoring.explain.chain import find_chain
from django_button_orders.monitoring.explain.words import as_moment, to_local


def earnings_context(order: ButtonOrder, *, with_bodies: bool) -> dict[str, Any]:
    """Return the context of the template ``earnings.html``."""
    chain = find_chain(order, with_bodies=with_bodies)
    return {
        "conclusion": chain.conclusion,
        "events": [
            {
                "text": event.text,
                "iso": to_local(event.moment).isoformat() if event.moment else "",
                "when": as_moment(event.moment) if event.moment else "",
            }
            for event in chain.events
        ],
    }
