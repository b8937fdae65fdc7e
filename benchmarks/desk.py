"""
Measure the pages of the admin: python -m benchmarks.desk ROUNDS

It opens them with Django's test client on the database that DATABASE_URL names, and
prints as JSON the time of each page and of its queries.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib import admin  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.db import connection  # noqa: E402
from django.db.models import Max  # noqa: E402
from django.template.loader import render_to_string  # noqa: E402
from django.test import Client, RequestFactory  # noqa: E402
from django.urls import reverse  # noqa: E402

from django_button_orders.models import ButtonOrder, Submission  # noqa: E402
from django_button_orders.models.snapshots import Snapshot  # noqa: E402
from django_button_orders.monitoring.snapshot import store_sweep  # noqa: E402

LIST_URL = reverse("admin:django_button_orders_buttonorder_changelist")
PANEL = "admin/django_button_orders/buttonorder/panel.html"
# The list has no panel in a popup.
ALONE = "_popup=1"


class Stopwatch:
    """Measure the time of an action and of its queries."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.query_seconds: list[float] = []
        self.queries = 0

    def measure(self, action: Callable[[], object], rounds: int) -> None:
        # The first run fills the caches of the process, and does not count.
        action()
        for _ in range(rounds):
            self.queries, self.in_queries = 0, 0.0
            start = time.perf_counter()
            with connection.execute_wrapper(self.time_query):
                action()
            self.seconds.append(time.perf_counter() - start)
            self.query_seconds.append(self.in_queries)

    def time_query(self, execute: Any, *arguments: Any) -> Any:
        start = time.perf_counter()
        try:
            return execute(*arguments)
        finally:
            self.queries += 1
            self.in_queries += time.perf_counter() - start


class Desk:
    def __init__(self) -> None:
        settings.ALLOWED_HOSTS = ["testserver"]
        self.user = User.objects.create_superuser("bench")
        self.client = Client(raise_request_exception=True)
        self.client.force_login(self.user)

    def get(self, url: str) -> None:
        status = self.client.get(url).status_code
        if status != 200:
            raise RuntimeError(f"{url} answered {status}.")

    def panel(self) -> None:
        request = RequestFactory().get(LIST_URL)
        request.user = self.user
        model_admin: Any = admin.site.get_model_admin(ButtonOrder)
        render_to_string(PANEL, {"panel": model_admin.panel_context(request)}, request)

    def pages(self) -> dict[str, Callable[[], object]]:
        """Return the actions to measure, by name."""
        busiest = Submission.objects.latest("pk").button_order_id
        middle = ButtonOrder.objects.aggregate(latest=Max("pk"))["latest"] // 2
        order = ButtonOrder.objects.filter(pk__gte=middle).order_by("pk")[0]
        page = reverse("admin:django_button_orders_buttonorder_change", args=[busiest])
        queries = {
            "list": "",
            "list, failed": "status__exact=failed",
            "list, refused": "status__exact=failed&reason__exact=refused",
            "list, due": "state=due",
            "list, stuck": "state=stuck",
            "list, a currency": "status__exact=pending&currency=EUR",
            "search, an order id": f"q={order.order_id}",
            "search, a token": f"q={order.btn_ref}",
            "search, in other letters": f"q=%23{order.order_id.lower()}",
            "search, an address": "q=jane%40shop.test",
            "search, nothing": "q=there-is-none",
        }
        pages: dict[str, Callable[[], object]] = {
            name: lambda query=query: self.get(f"{LIST_URL}?{ALONE}&{query}")
            for name, query in queries.items()
        }
        pages["panel"] = self.panel
        pages["list with its panel"] = lambda: self.get(LIST_URL)
        pages["order page"] = lambda: self.get(page)
        return pages


def timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main(rounds: int) -> None:
    desk = Desk()
    found: dict[str, Any] = {"panel before any sweep": timed(desk.panel)}
    found["first snapshot"] = timed(lambda: store_sweep("default"))
    Snapshot.objects.update(next_at="2000-01-01T00:00Z")
    found["snapshot"] = timed(lambda: store_sweep("default"))
    found["sweep between snapshots"] = timed(lambda: store_sweep("default"))
    pages = {}
    for name, action in desk.pages().items():
        stopwatch = Stopwatch()
        stopwatch.measure(action, rounds)
        pages[name] = {
            "seconds": stopwatch.seconds,
            "query_seconds": stopwatch.query_seconds,
            "queries": stopwatch.queries,
        }
    json.dump({"once": found, "pages": pages}, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]))
