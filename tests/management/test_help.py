from __future__ import annotations

from io import StringIO

from django.core.management import get_commands, load_command_class
from django.test import SimpleTestCase

NAMES = sorted(
    name for name, app in get_commands().items() if app == "django_button_orders"
)


class HelpTests(SimpleTestCase):
    def test_loop_says_all_that_it_does(self):
        command = load_command_class("django_button_orders", "button_orders_report")
        _, _, told = command.help.partition("With --loop")

        for what in ("reports what is due", "compares the orders", "prunes once a day"):
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
