from __future__ import annotations

import json
from argparse import Namespace
from collections import Counter
from hashlib import sha256
from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_button_orders.management.base import (
    ButtonOrdersCommand,
    Stop,
    counted,
    progress_bar,
    stop_on_signals,
)
from django_button_orders.management.options.reconcile import (
    add_selection,
    find_comparisons,
    refuse_unknown,
)
from django_button_orders.management.options.values import positive, rate
from django_button_orders.models import ButtonOrder, Checkpoint, Difference
from django_button_orders.models.databases import database_aliases
from django_button_orders.operations.throttle import Throttle
from django_button_orders.reconcile.findings import (
    AGREE,
    FIXED,
    NOT_COMPARED,
    Finding,
    PageResult,
)
from django_button_orders.reconcile.rows import CLOSED, FAILED, NOT_REPORTABLE, WAITING
from django_button_orders.reconcile.run import UNLIMITED, Comparison, compare

SHOWN_ERRORS = 10
# A batch ends with a checkpoint. This limits what an interrupted run has to repeat.
LONGEST_BATCH_SECONDS = 5
# The position of a comparison that is complete while others are not.
END = "end"
# Options with which two runs compare the same orders, so that --resume works.
SELECTION = ("side", "model", "since", "until", "account", "order_ids", "database")
KINDS = Difference.Kind.values
COUNTS = (
    *(AGREE, WAITING, FAILED, CLOSED, NOT_REPORTABLE),
    *(*KINDS, FIXED, NOT_COMPARED),
)
THERE = {"shop": "in the shop", "button": "at Button"}


class Command(ButtonOrdersCommand):
    help = (
        "Compares the Button orders with the shop's orders ('shop') or with "
        "what Button has ('button'). With 'shop', it finds orders that were "
        "written without a signal: by bulk_create(), update() or SQL. With "
        "'button', it makes one call for each order that Button has "
        "acknowledged. The command prints the differences, and the admin "
        "lists them. With --fix, orders that differ become due. Without it, "
        "no order is changed or reported."
    )
    examples = """\
  manage.py button_orders_reconcile shop
  manage.py button_orders_reconcile shop --since 2026-11-20 --until 2026-11-22 --fix
  manage.py button_orders_reconcile button --rate 20
  manage.py button_orders_reconcile button --rate 20 --resume
  manage.py button_orders_reconcile button --order-id 1994 --format json
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "side",
            choices=Difference.Side.values,
            help="what to compare the Button orders with",
        )
        add_selection(parser)
        group = parser.add_argument_group("how to run")
        group.add_argument(
            "--fix", action="store_true", help="make orders that differ due"
        )
        group.add_argument(
            "--rate",
            type=rate,
            metavar="N",
            help="at most N calls to Button, or N orders of the shop, per second",
        )
        group.add_argument(
            "--limit", type=positive, metavar="N", help="at most N orders"
        )
        group.add_argument(
            "--batch-size",
            type=positive,
            default=200,
            help="orders compared at once (default: %(default)s)",
        )
        group.add_argument(
            "--resume",
            action="store_true",
            help="continue the last interrupted run with the same selection",
        )
        self.add_format(parser)

    def handle(self, **options: Any) -> None:
        self.options = Namespace(**options)
        refuse_unknown(self.options)
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self.ended: list[str] = []
        self.missing = set(self.options.order_ids)
        self.seen = self.printed = self.newly_failed = 0
        with stop_on_signals() as stop:
            comparisons = find_comparisons(self.options, stop, self.tell)
            if self.is_json:
                self.stdout.write('{"differences": [')
            try:
                self.compare_all(comparisons, stop)
            finally:
                self.print_summary(stop)
        self.fail_unless_all_agree(stop)

    @property
    def is_json(self) -> bool:
        return bool(self.options.format == "json")

    @property
    def left(self) -> int | None:
        """Return how many orders ``--limit`` still allows, or None."""
        limit = self.options.limit
        return None if limit is None else limit - self.seen

    @property
    def batch_size(self) -> int:
        """Return how many orders to compare at once, within what the rate allows."""
        rate = self.options.rate or float("inf")
        enough = max(1.0, rate * LONGEST_BATCH_SECONDS)
        return int(min(self.options.batch_size, enough))

    def is_over(self, stop: Stop) -> bool:
        return stop.is_set or self.left == 0

    def compare_all(self, comparisons: list[Comparison], stop: Stop) -> None:
        """Run the comparisons that are not complete. Add up their counts."""
        checkpoints = [
            self.find_or_begin_checkpoint(comparison) for comparison in comparisons
        ]
        for comparison, checkpoint in zip(comparisons, checkpoints, strict=True):
            if checkpoint.position != END and not self.is_over(stop):
                self.compare(comparison, checkpoint, stop)
            self.counts += Counter(checkpoint.counts)
        if all(checkpoint.position == END for checkpoint in checkpoints):
            # Now that every comparison is complete, there is nothing to resume.
            for checkpoint in checkpoints:
                checkpoint.delete()

    def find_or_begin_checkpoint(self, comparison: Comparison) -> Checkpoint:
        """Return the checkpoint to resume at with these options, or a new one."""
        checkpoints = Checkpoint.objects.using(comparison.using)
        selection = [str(getattr(self.options, name)) for name in SELECTION]
        digest = sha256(json.dumps(selection).encode()).hexdigest()[:16]
        name = f"reconcile {digest} {comparison.label_with_database}"[:255]
        known = checkpoints.filter(name=name).first() if self.options.resume else None
        return known or checkpoints.begin(name)

    def compare(
        self, comparison: Comparison, checkpoint: Checkpoint, stop: Stop
    ) -> None:
        """Run a comparison from its checkpoint, which moves on after each page."""
        is_shop = self.options.side == Difference.Side.SHOP
        steps = compare(
            comparison,
            position=checkpoint.position,
            batch_size=self.batch_size,
            limit=self.left,
            fixes=self.options.fix,
            # The comparison with Button limits the rate of its calls itself.
            throttle=Throttle(self.options.rate, wait=stop.wait)
            if is_shop
            else UNLIMITED,
        )
        total = comparison.keyset.objects.count() if self.stderr.isatty() else None
        result = PageResult()
        title = comparison.label_with_database
        with progress_bar(self.stderr, title, total) as self.bar:
            bar = self.bar
            for result, position in steps:
                self.seen += result.done
                checkpoint.counts = Counter(checkpoint.counts) + result.counts
                checkpoint.advance(position=position, counts=checkpoint.counts)
                bar.clear()
                self.print_result(result)
                bar.update(result.done)
                if self.is_over(stop):
                    break
        if result.ended:
            # Button's own words need not end with a full stop.
            why = result.ended.rstrip(".")
            self.ended.append(f"{comparison.label_with_database}: {why}.")
        elif not self.is_over(stop):
            checkpoint.position = END
            checkpoint.advance(position=END)

    # What is printed

    def tell(self, text: str) -> None:
        """Print why the command waits."""
        self.bar.clear()
        self.stderr.write(text)

    def print_result(self, result: PageResult) -> None:
        self.missing -= {finding.difference.order_id for finding in result.findings}
        self.errors += result.errors[: SHOWN_ERRORS - len(self.errors)]
        self.newly_failed += sum(finding.has_failed for finding in result.findings)
        for finding in result.findings:
            if self.is_json:
                self.print_json(finding)
            else:
                self.stdout.write(as_line(finding, THERE[self.options.side]))

    def print_json(self, finding: Finding) -> None:
        """Print an item of the JSON list, which is never held in memory as a whole."""
        self.stdout.write(f"{',' if self.printed else ''}{as_json(finding)}")
        self.printed += 1

    def print_summary(self, stop: Stop) -> None:
        for error in self.errors:
            self.stderr.write(error)
        summary = {name: self.counts[name] for name in COUNTS}
        if self.is_json:
            self.stdout.write(f"], {json.dumps(summary).removeprefix('{')}")
        elif not self.seen and (self.ended or stop.is_set):
            self.stdout.write("Nothing was compared.")
        else:
            self.summarize(summary, "text")

    def fail_unless_all_agree(self, stop: Stop) -> None:
        complaints = list(self.ended)
        if stop.is_set:
            complaints.append("Interrupted.")
        if complaints:
            complaints.append("Use --resume to continue.")
        unfixed = sum(self.counts[kind] for kind in KINDS) - self.counts[FIXED]
        if unfixed:
            are = "is" if unfixed == 1 else "are"
            complaints.append(f"{counted(unfixed, 'difference')} {are} not fixed.")
        if failed := self.newly_failed:
            was, need = ("was", "needs") if failed == 1 else ("were", "need")
            complaints.append(
                f"{counted(failed, 'order')} {was} recorded as failed and {need} "
                "attention."
            )
        if left := self.counts[NOT_COMPARED]:
            was = "was" if left == 1 else "were"
            complaints.append(f"{counted(left, 'order')} {was} not compared.")
        if unknown := self.unknown_ids():
            complaints.append(f"No order to compare has the ID: {unknown}.")
        if complaints:
            raise CommandError(" ".join(complaints))

    def unknown_ids(self) -> str:
        """Return the named IDs that no order and no row has."""
        for alias in database_aliases() if self.missing else ():
            rows = ButtonOrder.objects.using(alias).filter(order_id__in=self.missing)
            self.missing -= set(rows.values_list("order_id", flat=True))
        return ", ".join(sorted(self.missing))


def as_json(finding: Finding) -> str:
    difference = finding.difference
    names = ("order_id", "account", "side", "kind", "source_id", "values", "error")
    found = {name: getattr(difference, name) for name in names}
    return json.dumps({**found, "is_fixed": finding.is_fixed})


def as_line(finding: Finding, there: str) -> str:
    difference = finding.difference
    parts = [
        f"{name} is {as_word(ours)} here and {as_word(theirs)} {there}"
        for name, (ours, theirs) in difference.values.items()
    ]
    details = "; ".join([*parts, *filter(None, [difference.error])])
    kind = Difference.Kind(difference.kind).label
    state = " (due now)" if finding.is_fixed and not finding.has_failed else ""
    return f"{difference.order_id}: {kind}{state}{': ' if details else '.'}{details}"


def as_word(value: Any) -> str:
    return "nothing" if value is None else str(value)
