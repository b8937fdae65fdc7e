from __future__ import annotations

import threading
from typing import Any
from urllib.parse import quote

import requests
from celery import shared_task
from django.conf import settings
from shop.models import Order

from benchmarks.naive.models import Report

TIMEOUT = (3.05, 10)
_local = threading.local()


def session() -> requests.Session:
    """Return this thread's session, which keeps its connections."""
    if not hasattr(_local, "session"):
        _local.session = requests.Session()
        _local.session.auth = (settings.BUTTON_ORDERS["API_KEY"], "")
    found: requests.Session = _local.session
    return found


def payload_of(order: Order) -> dict[str, Any]:
    lines = list(order.lines.select_related("product"))
    return {
        "order_id": order.number,
        "total": int(sum(line.total for line in lines) * 100),
        "currency": order.currency,
        "purchase_date": order.placed_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "btn_ref": order.btn_ref,
        "line_items": [
            {
                "identifier": line.product.sku,
                "sku": line.product.sku,
                "description": line.product.name,
                "quantity": line.kept,
                "amount": int(line.unit_price * 100),
                "total": int(line.total * 100),
            }
            for line in lines
            if line.kept
        ],
    }


@shared_task(
    autoretry_for=(requests.RequestException,),
    retry_backoff=True,
    max_retries=10,
    ignore_result=True,
)
def report_to_button(pk: int) -> None:
    order = Order.objects.get(pk=pk)
    report, _ = Report.objects.get_or_create(order=order)
    url = f"{settings.BUTTON_ORDERS['BASE_URL']}/v1/order"
    order_url = f"{url}/{quote(order.number, safe='')}"
    if order.status == Order.Status.CANCELLED:
        answer = session().delete(order_url, timeout=TIMEOUT)
    elif report.status == "reported":
        payload = payload_of(order)
        del payload["btn_ref"]
        answer = session().post(order_url, json=payload, timeout=TIMEOUT)
    else:
        answer = session().post(url, json=payload_of(order), timeout=TIMEOUT)
    if answer.status_code not in (404, 409):
        answer.raise_for_status()
    report.status = order.status if order.status == "cancelled" else "reported"
    body = answer.json()
    report.button_order_id = (body.get("object") or {}).get("button_order_id", "")
    report.save()
