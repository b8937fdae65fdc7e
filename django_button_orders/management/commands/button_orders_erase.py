from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from django_button_orders.clock import monotonic
from django_button_orders.management.base import (
    ButtonOrdersCommand,
    Stop,
    counted,
    progress_bar,
    stop_on_signals,
)
from django_button_orders.management.commands.button_orders_export import new_file
from django_button_orders.management.options.values import refuse_unknown_account
from django_button_orders.models import ButtonOrder
from django_button_orders.models.databases import database_aliases
from django_button_orders.operations.erase import (
    ErasedOrder,
    Person,
    as_erased,
    as_json,
    erase_order,
    export,
)
from django_button_orders.report.validation import redact_email

STDIN = STDOUT = "-"
HEADER = "account, order ID, Button's order ID, purchase date:"
Found = list[tuple[str, int]]


class Command(ButtonOrdersCommand):
    help = (
        "Erases the personal data of a customer's orders: customer, token, "
        "customer order ID, the texts of line items, errors and the bodies of calls. "
        "It keeps IDs, status, dates and amounts, so nothing is reported twice. It "
        "lists the "
        "orders. Hand the list to Button, which is your processor and offers no call "
        "for this. An order that Button does not know yet is reported without its "
        "token, so Button does not attribute it."
    )
    examples = """\
  manage.py button_orders_erase --customer-id u-77 --dry-run
  manage.py button_orders_erase --customer-id u-77 --export u-77.json
  manage.py button_orders_erase --email - --tell-button
  manage.py button_orders_erase --order-id 1994 --order-id 1995 --noinput
  manage.py button_orders_erase --customer-id u-77 --user ada --format json
"""

    def create_parser(
        self, prog_name: str, subcommand: str, **kwargs: Any
    ) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        # argparse quotes what it refuses, and that may be an address.
        parser.error = without_addresses(parser.error)  # type: ignore[assignment,method-assign]
        return parser

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command. Its errors quote no e-mail address."""
        try:
            return super().execute(*args, **options)
        except CommandError as exc:
            exc.args = (redact_email(str(exc)),)
            raise

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--customer-id", metavar="ID", help="orders of the customer with this ID"
        )
        parser.add_argument(
            "--email",
            metavar="ADDRESS",
            help="orders of the customer with this address, by its hash; with '-' it "
            "is read from standard input, so that no shell history has it",
        )
        parser.add_argument(
            "--order-id",
            action="append",
            default=[],
            dest="order_ids",
            metavar="ID",
            help="the order with this ID; repeat the option for more",
        )
        parser.add_argument("--account", help="only orders of this account")
        parser.add_argument(
            "--tell-button",
            action="store_true",
            help="report orders that can be changed once more, without the customer",
        )
        parser.add_argument(
            "--export",
            nargs="?",
            const=STDOUT,
            metavar="FILE",
            help="first write all that is stored about the orders to a new file as "
            "JSON; without FILE or with '-', to standard output",
        )
        parser.add_argument(
            "--user", help="the user name to enter in the log of Django's admin"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only list; change nothing"
        )
        self.add_noinput(parser)
        self.add_format(parser, help="the format of the list (default: %(default)s)")

    def handle(
        self,
        *,
        dry_run: bool,
        export: str | None,
        format: str,
        interactive: bool,
        **options: Any,
    ) -> None:
        person, user_id = self.person_of(options), find_user(options["user"])
        # The export must be readable by a program.
        self.list_output = self.stderr if export == STDOUT else self.stdout
        with stop_on_signals() as stop:
            found = self.find(person)
            if export is not None:
                self.export(found, export, stop)
            if dry_run:
                orders = list(self.read(found))
                self.print_orders(orders, format)
            elif found:
                self.confirm(
                    lambda: (
                        f"Erase the personal data of {counted(len(found), 'order')}? "
                        "This cannot be undone."
                    ),
                    interactive=interactive,
                )
                orders = self.erase(
                    found,
                    format,
                    stop,
                    tell_button=options["tell_button"],
                    user_id=user_id,
                )
            else:
                orders = []
        self.summarize_orders(orders, format, dry_run=dry_run)
        self.warn(person, [] if dry_run else orders, user_id=user_id)
        self.refuse_missing(person, found)
        if stop.is_set:
            raise CommandError("Interrupted. Run the command again for the rest.")

    def person_of(self, options: dict[str, Any]) -> Person:
        """Return whom to look for. Raise ``CommandError`` for invalid options."""
        refuse_unknown_account(options["account"])
        if "" in (options["customer_id"], options["email"], *options["order_ids"]):
            raise CommandError("--customer-id, --email and --order-id need a value.")
        email = self.read_email() if options["email"] == STDIN else options["email"]
        try:
            return Person(
                customer_id=options["customer_id"],
                email=email,
                order_ids=options["order_ids"],
                account=options["account"],
            )
        except ValidationError as exc:
            raise CommandError("--email must be an e-mail address.") from exc
        except ValueError as exc:
            raise CommandError(
                "Select orders with --customer-id, --email or --order-id."
            ) from exc

    def read_email(self) -> str:
        if sys.stdin.isatty():
            self.stderr.write("E-mail address: ", str, ending="")
            self.stderr.flush()
        # An empty line is no address either, and must not mean "no address given".
        return sys.stdin.readline().strip() or "empty"

    def find(self, person: Person) -> Found:
        """Return the databases and keys of the customer's orders."""
        found: Found = []
        with progress_bar(self.stderr, "Searching", None) as bar:
            for alias in database_aliases():
                for pk in person.find(alias):
                    found.append((alias, pk))
                    bar.update()
        return found

    def export(self, found: Found, target: str, stop: Stop) -> None:
        if target == STDOUT:
            write_export(found, self.stdout.raw, stop)
            self.stdout.flush()
            return
        path = Path(target)
        if not path.parent.is_dir():
            raise CommandError(f"'{path.parent}' is not a directory.")
        if path.exists():
            raise CommandError(f"'{path}' already exists. Name another file.")
        if found:
            # Only the user who runs the command can read it.
            with new_file(path, overwrite=False) as stream:
                write_export(found, stream, stop)

    def read(self, found: Found) -> Iterator[ErasedOrder]:
        for alias, pk in found:
            for row in ButtonOrder.objects.using(alias).filter(pk=pk):
                yield as_erased(row)

    def erase(
        self, found: Found, format_: str, stop: Stop, **options: Any
    ) -> list[ErasedOrder]:
        """Erase orders, and list each that is done. Return them."""
        orders: list[ErasedOrder] = []
        if format_ == "text":
            self.list_output.write(HEADER)
        for alias, pk in found:
            if stop.is_set:
                break
            began = monotonic()
            order = erase_order(pk, using=alias, **options)
            if order is not None:
                orders.append(order)
                # Nobody can find the order again by its customer, so it is listed now.
                self.print_order(order, format_)
            # The shop needs the same disk, and in SQLite the same lock, so it gets as
            # much time as the order took.
            time.sleep(monotonic() - began)
        return orders

    def print_orders(self, orders: list[ErasedOrder], format_: str) -> None:
        if format_ == "text" and orders:
            self.list_output.write(HEADER)
        for order in orders:
            self.print_order(order, format_)

    def print_order(self, order: ErasedOrder, format_: str) -> None:
        if format_ == "text":
            bought = order.purchase_date
            cells = (
                order.account,
                order.order_id,
                button_order_id_of(order),
                f"{bought:%Y-%m-%d}" if bought else "unknown",
            )
            self.list_output.write("  ".join(cells))

    def summarize_orders(
        self, orders: list[ErasedOrder], format_: str, *, dry_run: bool
    ) -> None:
        output, count = self.list_output, counted(len(orders), "order")
        if format_ == "json":
            summary = {
                "dry_run": dry_run,
                "count": len(orders),
                "orders": [as_json(order) for order in orders],
            }
            output.write(json.dumps(summary), str)
        elif dry_run and orders:
            output.write(f"Dry run, nothing was changed. Without --dry-run: {count}.")
        elif orders:
            output.write(
                f"{count} erased. Send this list to Button, and ask Button to erase "
                "the customer's data."
            )

    def warn(self, person: Person, erased: list[ErasedOrder], *, user_id: Any) -> None:
        """Print what the command could not reach."""
        if erased and user_id is None:
            self.stderr.write(
                "The log of Django's admin has no entry of this, because an entry "
                "needs a user: use --user."
            )
        if flying := sum(order.in_flight for order in erased):
            self.stderr.write(
                f"{counted(flying, 'order')} had a call under way, which may still "
                "bring the customer's data to Button."
            )
        if unknown := sum(map(person.count_unknown, database_aliases())):
            self.stderr.write(
                f"{counted(unknown, 'order')} cannot be searched, because no report "
                "was built yet: some may be pending, and others failed. Run the "
                "command again when they are reported, or use --order-id."
            )

    def refuse_missing(self, person: Person, found: Found) -> None:
        """Raise ``CommandError`` if an order was not found."""
        if missing := person.find_missing():
            names = ", ".join(sorted(missing))
            raise CommandError(f"No Button order exists for: {names}.")
        if not found and not person.order_ids:
            raise CommandError(
                "No Button order was found for this customer. Name the orders with "
                "--order-id."
            )
        if not found:
            self.stderr.write("The named orders were erased before.")


def write_export(found: Found, stream: Any, stop: Stop) -> None:
    """Write all that is stored about the orders as one JSON object."""
    stream.write('{"orders": [')
    for at, (alias, pk) in enumerate(found):
        if stop.is_set:
            raise CommandError("Interrupted. Nothing was erased.")
        stream.write(",\n" if at else "\n")
        item = export(pk, using=alias)
        stream.write(json.dumps(item, cls=DjangoJSONEncoder, ensure_ascii=False))
    stream.write("\n]}\n")


def button_order_id_of(order: ErasedOrder) -> str:
    """Return Button's ID, or a word where there is none. Button may have no order."""
    return order.button_order_id or ("unknown" if order.was_sent else "never sent")


def without_addresses(error: Callable[[str], NoReturn]) -> Callable[[str], NoReturn]:
    """Return a function that raises an error without the addresses in its message."""
    return lambda message: error(redact_email(message))


def find_user(name: str | None) -> Any:
    """Return the key of ``--user``, or None. Raise ``CommandError`` for no user."""
    if name is None:
        return None
    users = get_user_model()
    try:
        return users._default_manager.get_by_natural_key(name).pk
    except users.DoesNotExist as exc:
        raise CommandError(f"There is no user {name!r}.") from exc
