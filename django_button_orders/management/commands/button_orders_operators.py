from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.core.management.base import CommandError, CommandParser
from django.db import router, transaction

from django_button_orders.databases import migrated_alias
from django_button_orders.management.base import ButtonOrdersCommand

APP = "django_button_orders"
NAME = "Button operators"
MAX_LENGTH = 150
# What an operator does, by the permission that it needs.
PERMISSIONS = {
    "view_buttonorder": "see the orders and where they stand",
    "view_difference": "see what comparisons have found",
    "view_pausedaccount": "see the accounts whose key is refused",
    "retry_buttonorder": "send failed and dismissed orders again",
    "cancel_buttonorder": "cancel orders at Button",
    "dismiss_buttonorder": "take failed orders off the list",
    "resume_pausedaccount": "let paused accounts go on",
    "ask_buttonorder": "ask Button what it knows of an order",
    "view_bodies_submission": "see what is sent of customers, and answered",
}


class Command(ButtonOrdersCommand):
    help = (
        "Makes a group of users who look after the orders at Button, or completes "
        "it. Its members, and its other permissions, stay as they are. Users of it "
        "must be staff to enter the admin."
    )
    examples = """\
  manage.py button_orders_operators
  manage.py button_orders_operators --without view_bodies_submission
  manage.py button_orders_operators --name "Night shift" \\
      --only view_buttonorder --only retry_buttonorder
  manage.py button_orders_operators --dry-run

permissions:
""" + "\n".join(f"  {name:24}{what}" for name, what in PERMISSIONS.items())

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--name", default=NAME, help='name of the group (default: "%(default)s")'
        )
        parser.add_argument(
            "--only",
            action="append",
            choices=PERMISSIONS,
            default=[],
            metavar="PERMISSION",
            help="grant this permission, and take away the others that are listed "
            "below; can be given more than once",
        )
        parser.add_argument(
            "--without",
            action="append",
            choices=PERMISSIONS,
            default=[],
            metavar="PERMISSION",
            help="grant all but this permission, and take it away where it was "
            "granted before; can be given more than once",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only say what would change"
        )
        self.add_format(parser)

    def handle(
        self,
        *,
        name: str,
        only: list[str],
        without: list[str],
        dry_run: bool,
        format: str,
        **options: Any,
    ) -> None:
        if only and without:
            raise CommandError("Use either --only or --without.")
        if not name.strip() or len(name) > MAX_LENGTH:
            raise CommandError(f"A group's name has 1 to {MAX_LENGTH} characters.")
        wanted = set(only or PERMISSIONS) - set(without)
        # Groups live with the users, wherever the orders are.
        using = migrated_alias(router.db_for_write(Group), Group)
        with transaction.atomic(using=using):
            granted, taken = arrange(name, wanted, using=using)
            if dry_run:
                transaction.set_rollback(True, using=using)
        if format == "json":
            summary = {"dry_run": dry_run, "group": name, "granted": granted}
            summary |= {"taken_away": taken, "permissions": sorted(wanted)}
            self.summarize(summary, format)
            return
        if dry_run:
            self.stdout.write("Dry run, nothing was changed. Would be: ", ending="")
        self.stdout.write(
            f"{name}: {granted} granted, {taken} taken away. "
            f"It has {', '.join(sorted(wanted))}."
        )


def arrange(name: str, wanted: set[str], *, using: str) -> tuple[int, int]:
    """Return how many permissions a group was granted, and how many taken away."""
    known = find_permissions(using)
    group, _ = Group.objects.using(using).get_or_create(name=name)
    held = group.permissions.filter(pk__in=[item.pk for item in known.values()])
    names = set(held.values_list("codename", flat=True))
    group.permissions.add(*(known[item] for item in wanted - names))
    group.permissions.remove(*(known[item] for item in names - wanted))
    return len(wanted - names), len(names - wanted)


def find_permissions(using: str) -> dict[str, Permission]:
    found = Permission.objects.using(using).filter(
        content_type__app_label=APP, codename__in=PERMISSIONS
    )
    known = {item.codename: item for item in found}
    if missing := sorted(PERMISSIONS.keys() - known.keys()):
        raise CommandError(
            f"There are no permissions {', '.join(missing)} yet. "
            "Run 'manage.py migrate' first."
        )
    return known
