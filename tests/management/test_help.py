from __future__ import annotations

import os
from io import StringIO
from unittest.mock import patch

from django.core.management import get_commands, load_command_class
from django.test import SimpleTestCase

from django_button_orders.management.exit_statuses import (
    COMMON,
    EXIT_STATUSES,
    exit_statuses_of,
)

NAMES = sorted(
    name for name, app in get_commands().items() if app == "django_button_orders"
)


class HelpTests(SimpleTestCase):
    def test_loop_says_all_that_it_does(self):
        command = load_command_class("django_button_orders", "button_orders_report")
        _, _, told = command.help.partition("With --loop")

        for what in (
            "reports what is due",
            "runs the queued actions",
            "compares the orders",
            "prunes once a day",
        ):
            assert what in told

    def test_every_command_has_examples(self):
        assert "button_orders_backfill" in NAMES
        for name in NAMES:
            with self.subTest(name=name):
                parser = load_command_class("django_button_orders", name).create_parser(
                    "manage.py", name
                )
                out = StringIO()
                parser.print_help(out)

                assert "examples:" in out.getvalue()
                assert f"  manage.py {name}" in out.getvalue()
                for action in parser._actions:
                    assert action.help, action.dest

    def test_every_command_has_exit_statuses(self):
        assert sorted(EXIT_STATUSES) == NAMES
        for name in NAMES:
            with self.subTest(name=name):
                shown = " ".join(help_of(name).partition("exit statuses:")[2].split())

                statuses = exit_statuses_of(name)
                assert list(statuses) == sorted({0, 1, *COMMON})
                for status, meaning in statuses.items():
                    assert f"{status} {meaning}" in shown

    def test_lines_fit_a_terminal(self):
        for name in NAMES:
            with self.subTest(name=name), patch.dict(os.environ, COLUMNS="80"):
                lines = help_of(name).splitlines()

                # Examples are to be copied, and argparse does not wrap choices.
                texts = [
                    line
                    for line in lines
                    if "manage.py" not in line and "{" not in line
                ]
                assert [line for line in texts if len(line) > 80] == []


def help_of(name):
    command = load_command_class("django_button_orders", name)
    return command.create_parser("manage.py", name).format_help()
