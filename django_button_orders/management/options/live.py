"""The option ``--live`` of ``button_orders_preflight``: walk through Button's guide."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterable
from datetime import datetime, timezone
from textwrap import fill

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from django_button_orders.conf import (
    DEFAULT_ACCOUNT,
    get_settings,
    is_button,
    path_of,
)
from django_button_orders.delivery.prepare import settings_verdict
from django_button_orders.management.base import (
    HELP_WIDTH,
    ButtonOrdersCommand,
    counted,
    progress_bar,
    stop_on_signals,
)
from django_button_orders.management.options.preflight import find_selections
from django_button_orders.management.options.values import refuse_unknown_account
from django_button_orders.management.qa_sheet import Sheet
from django_button_orders.monitoring.preflight.newest import newest_reports
from django_button_orders.outbox.adapters import registered
from django_button_orders.reconcile.samples import (
    after_partial_return,
    choose_samples,
)
from django_button_orders.reconcile.walk import Walk
from django_button_orders.report.money import exponent
from django_button_orders.report.objects import OrderReport

DEFAULT_CURRENCY = "USD"
# The calls of a walk with a partial return, and of one without.
CALLS = 6 + 4
ONLY_LIVE = ("yes", "account", "currency")


def add_live(parser: CommandParser) -> None:
    group = parser.add_argument_group(
        "walk through Button's guide",
        fill(
            "Sends two invented orders in the shape of the shop's newest ones, with "
            "fake tokens and an invented customer. Changes one, cancels both, and "
            "compares what Button shows. Prints a sheet for Button's QA.",
            # The parser indents it.
            HELP_WIDTH - 2,
        ),
    )
    group.add_argument(
        "--live", action="store_true", help="make these calls, and no other check"
    )
    group.add_argument(
        "--yes",
        action="store_true",
        help="allow --live where BASE_URL is the real Button",
    )
    group.add_argument(
        "--account", help=f"the account at Button (default: {DEFAULT_ACCOUNT})"
    )
    group.add_argument(
        "--currency",
        metavar="CODE",
        help="the currency of the invented orders, if the shop has no order yet "
        f"(default: {DEFAULT_CURRENCY})",
    )


def refuse_without_live(options: Namespace) -> None:
    """Raise ``CommandError`` for options that only ``--live`` has."""
    for name in ONLY_LIVE:
        if getattr(options, name):
            raise CommandError(f"--{name} needs --live.")


def refuse_live(options: Namespace) -> None:
    """Raise ``CommandError`` if ``--live`` must not make calls."""
    account = options.account or DEFAULT_ACCOUNT
    refuse_unknown_account(account)
    try:
        exponent(options.currency or DEFAULT_CURRENCY)
    except ValidationError as exc:
        raise CommandError(f"--currency: {' '.join(exc.messages)}") from exc
    if hindrance := settings_verdict(account):
        raise CommandError(hindrance.error)
    url = get_settings(account).base_url
    if is_button(url) and not options.yes:
        raise CommandError(
            f"This would send two invented orders to the real Button at {url}, change "
            f"one of them, and cancel both, with the key of the account {account}. "
            "Button has no test system for orders. To do it, add --yes."
        )


def find_reports(options: Namespace, account: str) -> Iterable[OrderReport]:
    """Return the reports of the selected orders, whose shape the invented ones have."""
    selections = find_selections(options) if registered() else []
    order_ids = options.order_ids
    reports = newest_reports(selections, account=account, order_ids=order_ids)
    if not order_ids:
        return reports
    found = list(reports)
    if not found:
        raise CommandError(
            f"No report can be built in the account {account} for: "
            f"{', '.join(order_ids)}."
        )
    return found


def walk_live(command: ButtonOrdersCommand, options: Namespace) -> None:
    """
    Walk with two invented orders, and print the sheet.

    Raises ``CommandError`` if a step failed, or Button shows something else than was
    sent.
    """
    refuse_live(options)
    account, now = options.account or DEFAULT_ACCOUNT, datetime.now(timezone.utc)
    if not get_settings(account).enabled:
        command.stderr.write(
            f"{path_of(account, 'ENABLED')} is False, so workers send nothing. These "
            "calls are made because you ask for them."
        )
    currency = options.currency or DEFAULT_CURRENCY
    reports = find_reports(options, account)
    first, second = choose_samples(reports, currency=currency, now=now)
    with (
        stop_on_signals() as stop,
        progress_bar(command.stderr, "Walking", CALLS, unit=" calls") as bar,
    ):
        sheet = Sheet(account=account, moment=now, walks=[])
        for report, returned in ((first, after_partial_return(first)), (second, None)):
            if stop.is_set:
                break
            walk = Walk(
                account=account,
                report=report,
                returned=returned,
                tell=lambda step: bar.update(),
                is_stopped=lambda: stop.is_set,
                wait=stop.wait,
            )
            sheet.walks.append(walk)
            walk.run()
        sheet.is_interrupted = stop.is_set
    print_sheet(command, sheet, options.format)
    if stop.is_set:
        raise CommandError(
            "Interrupted. The remaining steps were left out.",
            returncode=stop.exit_status,
        )
    fail_unless_good(sheet)


def print_sheet(command: ButtonOrdersCommand, sheet: Sheet, format_: str) -> None:
    if format_ == "json":
        command.stdout.write(json.dumps(sheet.as_dict()))
        return
    command.print_lines(sheet.as_lines())
    command.summarize(sheet.counts, format_)


def fail_unless_good(sheet: Sheet) -> None:
    counts = sheet.counts
    if number := counts["failed"] + counts["differ"]:
        raise CommandError(
            f"{counted(number, 'step')} did not go as Button's guide says."
        )
