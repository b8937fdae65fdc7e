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

Status = ButtonOrder.Status


class Command(ButtonOrdersCommand):
    help = (
        "Makes failed orders due again, with a full set of attempts. It skips "
        "pending and reported orders. It retries a dismissed order only if --order-id "
        "names it, and a closed order only with --order-id or --status closed. With "
        "--resume, it ends the pause of an account instead: the orders that waited for "
        "the API key are due again. Correct API_KEY first."
    )
    examples = """\
  manage.py button_orders_retry --order-id 1994
  manage.py button_orders_retry --reason exhausted --newer-than 2d --dry-run
  manage.py button_orders_retry --account eu --status-code 5xx
  manage.py button_orders_retry --reason refused --older-than 3h --limit 100
  manage.py button_orders_retry --all --noinput
  manage.py button_orders_retry --status closed --newer-than 2d
  manage.py button_orders_retry --account eu --resume
"""

    def add_arguments(self, parser: CommandParser) -> None:
        add_selection(parser)
        parser.add_argument(
            "--all", action="store_true", help="all failed orders, or all of --status"
        )
        parser.add_argument(
            "--status",
            choices=[Status.FAILED.value, Status.CLOSED.value],
            help="only orders with this status (default: failed)",
        )
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
            others = dry_run or options["all"] or options["status"]
            is_alone = not others and selection.is_account
            self.resume(selection.account if is_alone else None, format)
            return
        if options["all"] != selection.is_empty:
            raise CommandError(
                "Select orders with --order-id, --reason, --account, --status-code, "
                "--older-than or --newer-than, or use --all without them."
            )
        self.status = options["status"]
        status = self.status or Status.FAILED.value
        missing = self.find_missing(selection)
        if dry_run:
            retried = self.count(selection)
        else:
            if options["all"]:
                self.confirm(
                    lambda: (
                        f"Retry {counted(self.count(selection), f'{status} order')}?"
                    ),
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
                f"This order cannot be retried: {names}. It is unknown or not {status}."
                if len(missing) == 1
                else f"These orders cannot be retried: {names}. They are unknown or "
                f"not {status}."
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
            total += count(self.rows(selection, alias), selection.left(total))
        return total

    def retry(self, selection: Selection, stop: Stop) -> int:
        """Make the selected orders due. Return how many there were."""
        seen = retried = 0
        for alias in database_aliases():
            orders = ButtonOrder.objects.using(alias)
            for pks in pages(self.rows(selection, alias), selection.left(seen)):
                if stop.is_set:
                    return retried
                seen += len(pks)
                retried += retry_many(orders.filter(pk__in=pks), trigger="command")
        return retried

    def find_missing(self, selection: Selection) -> set[str]:
        """Return the named IDs of which no order can be retried."""
        missing = set(selection.order_ids)
        for alias in database_aliases() if missing else ():
            rows = self.rows(selection, alias)
            missing -= set(rows.values_list("order_id", flat=True))
        return missing

    def rows(self, selection: Selection, alias: str) -> ButtonOrderQuerySet:
        """Return the rows to retry: failed ones, unless others are named."""
        orders = ButtonOrder.objects.using(alias).retryable()
        if self.status or not selection.order_ids:
            orders = orders.filter(status=self.status or Status.FAILED)
        return selection.narrow(orders)
