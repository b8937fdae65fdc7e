from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management.base import CommandError, CommandParser
from django.utils import translation

from django_button_orders.delivery.ask import retrieve
from django_button_orders.delivery.verdicts import message_of
from django_button_orders.management.base import ButtonOrdersCommand
from django_button_orders.management.options.values import (
    refuse_unknown_account,
    refuse_unknown_database,
)
from django_button_orders.models import ButtonOrder, Submission
from django_button_orders.models.databases import database_aliases, migrated_alias
from django_button_orders.monitoring.explain.chain import Chain, find_chain
from django_button_orders.monitoring.explain.words import as_moment, to_local
from django_button_orders.report.validation import as_line

# More orders than this are not listed.
MAX_LISTED = 10


class Command(ButtonOrdersCommand):
    help = (
        "Explains why an order earned a commission or not: its events with their "
        "dates, and a conclusion for the publisher's support or for the shop. It reads "
        "the record here, and with --ask it also asks Button. It changes no order."
    )
    examples = """\
  manage.py button_orders_explain 1994
  manage.py button_orders_explain 1994 --ask
  manage.py button_orders_explain 1994 --account eu --format json
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "order",
            metavar="ORDER",
            help="the order ID; if no order has it, the customer order ID",
        )
        parser.add_argument("--account", help="the account of the order")
        parser.add_argument(
            "--ask", action="store_true", help="ask Button first what it holds now"
        )
        parser.add_argument(
            "--database", help="the database of the order (default: all of them)"
        )
        self.add_format(parser, help="the format of the output (default: %(default)s)")

    def handle(self, *, ask: bool, format: str, **options: Any) -> None:
        refuse_unknown_account(options["account"])
        refuse_unknown_database(options["database"])
        order = self.find_order(**options)
        error = self.ask(order) if ask else ""
        # The output of commands is in English.
        with translation.override("en"):
            chain = find_chain(order)
            if format == "json":
                self.stdout.write(json.dumps(as_dict(order, chain)), str)
            else:
                self.print_lines(as_text(order, chain))
        if error:
            raise CommandError(f"Asking Button failed: {error}")

    def find_order(
        self, *, order: str, account: str | None, database: str | None, **options: Any
    ) -> ButtonOrder:
        """Return the Button order with an ID. Raises ``CommandError``."""
        given = [migrated_alias(database)] if database else list(database_aliases())
        found: list[ButtonOrder] = []
        for name in ("order_id", "customer_order_id"):
            for alias in [] if found or not order else given:
                rows = ButtonOrder.objects.using(alias).filter(**{name: order})
                rows = rows.filter(account=account) if account is not None else rows
                found += rows.order_by("pk")[: MAX_LISTED + 1]
        if not found:
            raise CommandError(not_found(order, account))
        if len(found) > 1:
            raise CommandError(several(order, found))
        return found[0]

    def ask(self, order: ButtonOrder) -> str:
        """Ask Button about an order, for the record. Return the error, or ""."""
        try:
            call = retrieve(order, trigger=Submission.Trigger.COMMAND)
        except (ImproperlyConfigured, ValidationError) as exc:
            return as_line(exc) if isinstance(exc, ValidationError) else str(exc)
        if call.outcome == Submission.Outcome.SUCCEEDED:
            return ""
        return message_of(call.error) or "Button gave no reason."


def not_found(order: str, account: str | None) -> str:
    where = f" of the account '{account}'" if account else ""
    return (
        f"No Button order{where} has the ID '{order}', so the order was never reported "
        "from here. Either is_reportable() returned False, or it was written without "
        "a signal, or before the app was installed. Run 'button_orders_backfill "
        f"--order-id {order} --dry-run' to see which, and button_orders_reconcile to "
        "find others."
    )


def several(order: str, found: list[ButtonOrder]) -> str:
    """Return a sentence that lists the orders which have the same ID."""
    names = [
        f"{item.order_id} (account '{item.account}', database '{item._state.db}')"
        for item in found[:MAX_LISTED]
    ]
    more = " and others" if len(found) > MAX_LISTED else ""
    return (
        f"Several Button orders match '{order}': {', '.join(names)}{more}. Name one by "
        "its order ID, --account and --database."
    )


def as_text(order: ButtonOrder, chain: Chain) -> Iterator[str]:
    status = order.get_status_display()
    reason = f" ({order.get_reason_display()})" if order.reason else ""
    yield f"Order {order.order_id} of the account {order.account}: {status}{reason}"
    for event in chain.events:
        yield f"{as_moment(event.moment) if event.moment else 'Now'}: {event.text}"
    yield f"{chain.conclusion.title} {chain.conclusion.text}"


def as_dict(order: ButtonOrder, chain: Chain) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "account": order.account,
        "status": order.status,
        "reason": order.reason,
        "events": [
            {
                "at": to_local(event.moment).isoformat() if event.moment else None,
                "text": event.text,
            }
            for event in chain.events
        ],
        "conclusion": {
            "audience": chain.conclusion.audience,
            "text": chain.conclusion.text,
        },
    }
