"""Rows, answers and calls, as many tests need them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from importlib import import_module
from typing import Any
from urllib.parse import quote

import responses
from django.db import OperationalError, connection
from django.db.models import Model

from django_button_orders.models import ButtonOrder, Checkpoint
from django_button_orders.models.checkpoints import FIRST_AT_WORK

BASE_URL = "https://button.test"
ORDERS_URL = f"{BASE_URL}/v1/order"
PURCHASED = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)
OK = {"meta": {"status": "ok"}, "object": {"button_order_id": "btnorder-1"}}
NOT_FOUND = {"meta": {"status": "error"}, "error": {"message": "No such order."}}


def button_settings(**values: Any) -> dict[str, Any]:
    """Return BUTTON_ORDERS for a Button whose answers ``add_answer`` sets."""
    return {
        "API_KEY": "sk-tests",
        "BASE_URL": BASE_URL,
        "DOORBELL": "none",
        **values,
    }


def order_url(order_id: str = "1994") -> str:
    return f"{ORDERS_URL}/{quote(order_id, safe='')}"


def create_row(**values: Any) -> ButtonOrder:
    using = values.pop("using", "default")
    return ButtonOrder.objects.using(using).create(
        **{
            "order_id": "1994",
            "total": 7000,
            "currency": "USD",
            "purchase_date": PURCHASED,
            "btn_ref": "srctok-1",
            **values,
        }
    )


def make_due() -> None:
    """Make every pending row due, and free of leases."""
    pending = ButtonOrder.objects.pending()
    pending.update(next_attempt_at=LONG_AGO, lease_expires_at=None)


def set_first_at_work(moment: datetime, *, using: str = "default") -> None:
    """Let the app have been at work on a database since a moment."""
    checkpoints = Checkpoint.objects.using(using)
    checkpoints.first_at_work()
    checkpoints.filter(name=FIRST_AT_WORK).update(started_at=moment)


def add_answer(method: str, url: str = ORDERS_URL, **answer: Any) -> None:
    """Let Button answer a call. Needs ``responses`` to be active."""
    answer.setdefault("json", OK)
    if "body" in answer:
        del answer["json"]
    responses.add(method, url, **answer)


def calls() -> list[str]:
    """Return the calls that Button received, as "POST /v1/order"."""
    return [
        f"{call.request.method} {call.request.path_url}" for call in responses.calls
    ]


class NoArchiveRouter:
    """Keep the app's tables out of the second database."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db != "archive"


def refuse_query(*arguments: Any) -> None:
    """Fail like a server that went away, as a wrapper of ``execute_wrapper()``."""
    raise OperationalError("The server went away.")


def analyze(*models: type[Model]) -> None:
    """Update the statistics that the database plans queries by."""
    verbs = {"mysql": "ANALYZE TABLE", "postgresql": "VACUUM ANALYZE"}
    with connection.cursor() as cursor:
        for model in models:
            verb = verbs.get(connection.vendor, "ANALYZE")
            cursor.execute(f"{verb} {model._meta.db_table}")
            cursor.fetchall() if cursor.description else None


def seconds_from_now(moment: datetime) -> float:
    return (moment - datetime.now(timezone.utc)) / timedelta(seconds=1)


def find_name(name: str) -> Any:
    """Return the module, class or function with a dotted name. Raises if none has."""
    first, *others = name.split(".")
    found = import_module(first)
    for part in others:
        if not hasattr(found, part):
            import_module(f"{found.__name__}.{part}")
        found = getattr(found, part)
    return found


def uses_psycopg2() -> bool:
    """Return whether the tests' database is PostgreSQL, by its older driver."""
    is_psycopg3 = hasattr(connection.Database, "ClientCursor")
    return connection.vendor == "postgresql" and not is_psycopg3
