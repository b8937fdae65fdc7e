from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_button_orders.management.base import (
    ButtonOrdersCommand,
    Stop,
    counted,
    stop_on_signals,
)
from django_button_orders.management.options.selection import (
    Selection,
    add_selection,
    count,
    pages,
)
from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.databases import database_aliases
from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.operations.accounts import resume_accounts
from django_button_orders.operations.orders import retry_many


class Command(ButtonOrdersCommand):
    help = (
        "Makes failed orders due again, with a full set of attempts. It skips "
        "pending and reported orders. It retries a dismissed order only if --order-id "
        "names it. With --resume, it ends the pause of an account instead: the orders "
        "that waited for the API key are due again. Correct API_KEY first."
    )
    examples = """\
  manage.py button_orders_retry --order-id 1994
  manage.py button_orders_retry --reason exhausted --newer-than 2d --dry-run
  manage.py button_orders_retry --account eu --status-code 5xx
  manage.py button_orders_retry --reason refused --older-than 3h --limit 100
  manage.py button_orders_retry --all --noinput
  manage.py button_orders_retry --account eu --resume
"""

    def add_arguments(self, parser: CommandParser) -> None:
        add_selection(parser)
        parser.add_argument("--all", action="store_true", help="all failed orders")
        parser.add_argument(
            "--resume",
            action="store_true",
            help="end the pause of --account; correct API_KEY first",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only count; change nothing"
        )
        self.add_noinput(parser)
        self.add_format(parser)

    def handle(
        self, *, dry_run: bool, format: str, interactive: bool, **options: Any
    ) -> None:
        selection = Selection.of(options)
        if options["resume"]:
            is_alone = not (dry_run or options["all"]) and selection.is_account
            self.resume(selection.account if is_alone else None, format)
            return
        if options["all"] != selection.is_empty:
            raise CommandError(
                "Select orders with --order-id, --reason, --account, --status-code, "
                "--older-than or --newer-than, or use --all without them."
            )
        missing = self.find_missing(selection)
        if dry_run:
            retried = self.count(selection)
        else:
            if options["all"]:
                self.confirm(
                    lambda: f"Retry {counted(self.count(selection), 'failed order')}?",
                    interactive=interactive,
                )
            with stop_on_signals() as stop:
                retried = self.retry(selection, stop)
        self.summarize({"dry_run": dry_run, "retried": retried}, format)
        if not dry_run and stop.is_set:
            raise CommandError("Interrupted. Run the command again for the rest.")
        if missing:
            names = ", ".join(sorted(missing))
            raise CommandError(
                f"This order cannot be retried: {names}. It is unknown or has not "
                "failed."
                if len(missing) == 1
                else f"These orders cannot be retried: {names}. They are unknown or "
                "have not failed."
            )

    def resume(self, account: str | None, format_: str) -> None:
        """End the pause of an account, and say how many orders are due again."""
        if account is None:
            raise CommandError(
                "--resume needs --account, and cannot be combined with --dry-run or "
                "another selection."
            )
        is_resumed, due = False, 0
        for alias in database_aliases():
            paused = PausedAccount.objects.using(alias).filter(account=account)
            if resume_accounts(paused, trigger="command"):
                is_resumed = True
                rows = ButtonOrder.objects.using(alias).filter(account=account)
                due += rows.due().count()
        if format_ == "json":
            summary = {"account": account, "resumed": is_resumed, "due": due}
            self.stdout.write(json.dumps(summary))
        elif is_resumed:
            are = "is" if due == 1 else "are"
            self.stdout.write(
                f"Account '{account}' is resumed: {counted(due, 'order')} {are} due "
                "again."
            )
        else:
            self.stdout.write(f"Account '{account}' is not paused.")

    def count(self, selection: Selection) -> int:
        """Return how many orders would be retried."""
        total = 0
        for alias in database_aliases():
            total += count(rows_of(selection, alias), selection.left(total))
        return total

    def retry(self, selection: Selection, stop: Stop) -> int:
        """Make the selected orders due. Return how many there were."""
        seen = retried = 0
        for alias in database_aliases():
            orders = ButtonOrder.objects.using(alias)
            for pks in pages(rows_of(selection, alias), selection.left(seen)):
                if stop.is_set:
                    return retried
                seen += len(pks)
                retried += retry_many(orders.filter(pk__in=pks), trigger="command")
        return retried

    def find_missing(self, selection: Selection) -> set[str]:
        """Return the named IDs of which no order can be retried."""
        missing = set(selection.order_ids)
        for alias in database_aliases() if missing else ():
            rows = rows_of(selection, alias)
            missing -= set(rows.values_list("order_id", flat=True))
        return missing


def rows_of(selection: Selection, alias: str) -> ButtonOrderQuerySet:
    """Return the rows to retry: dismissed ones only if they are named."""
    orders = ButtonOrder.objects.using(alias).all()
    orders = orders.retryable() if selection.order_ids else orders.failed()
    return selection.narrow(orders)
