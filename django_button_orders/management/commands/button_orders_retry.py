from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_button_orders.conf import account_names
from django_button_orders.databases import database_aliases
from django_button_orders.management.base import ButtonOrdersCommand
from django_button_orders.models import ButtonOrder
from django_button_orders.operations import retry_orders
from django_button_orders.querysets import ButtonOrderQuerySet


class Command(ButtonOrdersCommand):
    help = (
        "Makes failed orders due again, with a fresh set of attempts. Dismissed "
        "ones only when they are named. Others are left alone."
    )
    examples = """\
  manage.py button_orders_retry --order-id 1994
  manage.py button_orders_retry --reason exhausted --dry-run
  manage.py button_orders_retry --account eu --reason refused
  manage.py button_orders_retry --all
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--order-id",
            action="append",
            default=[],
            dest="order_ids",
            metavar="ID",
            help="the order with this id; can be given more than once",
        )
        parser.add_argument(
            "--reason",
            choices=ButtonOrder.Reason.values,
            help="only those that failed for this reason",
        )
        parser.add_argument("--account", help="only those of this account")
        parser.add_argument("--all", action="store_true", help="all that have failed")
        parser.add_argument(
            "--dry-run", action="store_true", help="only count, change nothing"
        )
        self.add_format(parser)

    def handle(self, *, dry_run: bool, format: str, **options: Any) -> None:
        selected = [options[name] for name in ("order_ids", "reason", "account")]
        if options["all"] == any(selected):
            raise CommandError(
                "Say what to retry: --order-id, --reason, --account, or --all "
                "on its own."
            )
        if options["account"] and options["account"] not in account_names():
            raise CommandError(
                f"'{options['account']}' is not an account. "
                f"Known are: {', '.join(account_names())}."
            )
        found = moved = 0
        for alias in database_aliases():
            orders = self.select(alias, **options)
            found += orders.count()
            if not dry_run:
                moved += len(retry_orders(orders, trigger="command"))
        if format == "text" and dry_run:
            self.stdout.write("Dry run, nothing was changed. Would be: ", ending="")
        self.summarize(
            {"dry_run": dry_run, "retried": found if dry_run else moved}, format
        )
        if options["order_ids"] and found < len(set(options["order_ids"])):
            raise CommandError(
                f"Only {found} of these orders can be retried. "
                "The others are unknown, or have not failed."
            )

    def select(
        self,
        alias: str,
        *,
        order_ids: list[str],
        reason: str | None,
        account: str | None,
        **_: Any,
    ) -> ButtonOrderQuerySet:
        orders = ButtonOrder.objects.using(alias).all()
        orders = orders.retryable() if order_ids else orders.failed()
        if order_ids:
            orders = orders.filter(order_id__in=order_ids)
        if reason:
            orders = orders.filter(reason=reason)
        if account:
            orders = orders.filter(account=account)
        return orders
