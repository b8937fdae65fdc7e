"""Live a day of the shop, and print as JSON what a person would look at."""

from __future__ import annotations

import json
from io import StringIO

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import BaseCommand, call_command
from django.db import connections
from django.test import Client
from django.urls import reverse
from shop.models import Order

from django_button_orders import suppress_reporting
from django_button_orders.models import ButtonOrder
from django_button_orders.tasks import reconcile_orders, report_due_orders
from django_button_orders.testing import run_sandbox
from tests.recipes.utils import button_forms, text_of

SECOND = settings.SECOND
SITE = "admin" if SECOND == "orders" else "archive"
# With a router, commands find the database themselves.
DATABASE = [] if SECOND == "orders" else ["--database", SECOND]
LIST = f"{SITE}:django_button_orders_buttonorder_changelist"


def run(name, *arguments):
    """Run a command, and return its exit status and its output."""
    output, status = StringIO(), 0
    try:
        call_command(name, *arguments, stdout=output, stderr=output)
    except SystemExit as exc:
        status = exc.code
    return status, output.getvalue()


def place(number):
    order = Order(number=number)
    order.save(using=SECOND)
    return order


def tables(alias):
    names = connections[alias].introspection.table_names()
    return sorted({name.rpartition("_")[0] or name for name in names})


def live(sandbox):
    order = place("1994")
    rows = ButtonOrder.objects.using(SECOND)
    seen = {"row_is_beside_its_order": rows.filter(order_id="1994").exists()}
    report_due_orders()
    seen["reported_by_the_task"] = sandbox.orders["1994"]["total"]
    order.net_total = 6000
    order.save()
    run("button_orders_report")
    seen["updated_by_the_command"] = sandbox.orders["1994"]["total"]
    with suppress_reporting():
        place("1995")
    reconcile_orders()
    run("button_orders_report")
    seen["found_by_the_task"] = "1995" in sandbox.orders
    seen["status"] = run("button_orders_status")
    seen["reconcile"] = run("button_orders_reconcile", "shop", *DATABASE)
    rows.filter(order_id="1994").update(status="failed", reason="refused")
    return seen | look(order)


def look(order):
    """Return what the admin shows, and press a button of the box."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    page = reverse(f"{SITE}:shop_order_change", args=[order.pk])
    response = client.get(page)
    client.post(button_forms(response, "retry")[0], {"next": page})
    row = ButtonOrder.objects.using(SECOND).get(order_id="1994")
    name = f"{SITE}:django_button_orders_buttonorder"
    history = client.get(reverse(f"{name}_history", args=[row.pk]))
    return {
        "box": text_of(response),
        "after_retry": row.status,
        "list": text_of(client.get(reverse(LIST))),
        "page": text_of(client.get(reverse(f"{name}_change", args=[row.pk]))),
        "history": text_of(history),
    }


class Command(BaseCommand):
    help = "Live a day of the shop, in databases without tables."
    # The first step creates the tables.
    requires_migrations_checks = False

    def handle(self, **options):
        for alias in connections:
            call_command("migrate", verbosity=0, run_syncdb=True, database=alias)
        with run_sandbox() as sandbox:
            seen = live(sandbox)
        seen["tables"] = {alias: tables(alias) for alias in connections}
        self.stdout.write(json.dumps(seen))
