from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_button_orders.management.base import (
    ButtonOrdersCommand,
    counted,
    progress_bar,
)
from django_button_orders.management.options.live import (
    add_live,
    refuse_without_live,
    walk_live,
)
from django_button_orders.management.options.preflight import (
    add_selection,
    find_selections,
)
from django_button_orders.monitoring.preflight.findings import Finding, Preflight
from django_button_orders.monitoring.preflight.run import run_preflight

COUNTS = ("orders", "reports", "not_built", "not_reportable", "cancelled")
SHARES = {
    "token": "an attribution token",
    "lines": "lines",
    "customer": "a customer",
    "is_new": "is_new",
    "customer_order_id": "customer_order_id",
    "gross_total": "gross_total",
}


class Command(ButtonOrdersCommand):
    help = (
        "Builds the reports of the shop's newest orders with your adapters, and "
        "checks them. Without --live, it sends nothing and changes nothing. It prints "
        "each kind of mistake with its number of orders, up to three order IDs, and "
        "what to do. The exit status is 1 if something is 'Wrong', such as a total "
        "with tax. Findings that are 'Worth a look', such as missing tokens, do not "
        "change it. The documentation explains each finding."
    )
    examples = """\
  manage.py button_orders_preflight
  manage.py button_orders_preflight --last 1000
  manage.py button_orders_preflight --since 2026-11-01 --until 2026-12-01
  manage.py button_orders_preflight --model shop.Order --format json
  manage.py button_orders_preflight --order-id 1994 --order-id 1995
  manage.py button_orders_preflight --live --yes > sheet.txt
"""

    def add_arguments(self, parser: CommandParser) -> None:
        add_selection(parser)
        add_live(parser)
        self.add_format(parser)

    def handle(self, *, format: str, **options: Any) -> None:
        if options["live"]:
            walk_live(self, Namespace(format=format, **options))
            return
        refuse_without_live(Namespace(**options))
        selections = find_selections(Namespace(**options))
        with progress_bar(self.stderr, "Checking", None) as bar:
            preflight = run_preflight(
                selections, order_ids=options["order_ids"], advance=bar.update
            )
        if format == "json":
            self.stdout.write(json.dumps(as_dict(preflight)))
        else:
            self.print_lines(as_text(preflight))
            if preflight.orders:
                counts = {name: getattr(preflight, name) for name in COUNTS}
                self.summarize(counts, format)
        if complaints := list(find_complaints(preflight)):
            raise CommandError(" ".join(complaints))


def find_complaints(preflight: Preflight) -> Iterator[str]:
    """Yield a sentence for each reason why the exit status is 1."""
    if preflight.unknown_ids:
        yield f"No order has the ID: {', '.join(preflight.unknown_ids)}."
    elif not preflight.orders and not preflight.errors:
        yield "No order matches the selection."
    if number := len(preflight.errors):
        yield f"{counted(number, 'finding')} {'is' if number == 1 else 'are'} wrong."


def as_text(preflight: Preflight) -> Iterator[str]:
    for finding in preflight.errors:
        yield from describe_finding("Wrong", finding)
    for finding in preflight.warnings:
        yield from describe_finding("Worth a look", finding)
    if preflight.reports:
        shares = ", ".join(
            f"{preflight.shares[name]} with {what} ({preflight.percent(name)} %)"
            for name, what in SHARES.items()
        )
        yield f"Of {counted(preflight.reports, 'report')}: {shares}."


def describe_finding(severity: str, finding: Finding) -> Iterator[str]:
    """Yield the lines of a finding: what and where, then what to do."""
    detail = f" {finding.detail}" if finding.detail else ""
    number, ids = counted(finding.count, "order"), ", ".join(finding.order_ids)
    where = f" ({number}{': ' if ids else ''}{ids})" if finding.count else ""
    yield f"{severity}: {finding.title}.{detail}{where}"
    yield f"  {finding.todo}"


def as_dict(preflight: Preflight) -> dict[str, Any]:
    """Return the result as JSON values."""
    return {
        **asdict(preflight),
        "findings": [finding.as_dict() for finding in preflight.findings],
    }
