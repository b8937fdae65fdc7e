from __future__ import annotations

import logging
from pathlib import Path

from django.test import SimpleTestCase

import django_button_orders
from django_button_orders.printable import get_logger, printable

# What controls a terminal, ends a line, or turns its direction; and how it is shown.
SIGNS = {
    "\n": r"\n",
    "\r": r"\r",
    "\x1b[2J": r"\x1b[2J",
    "\x9b": r"\x9b",
    "\u202e": r"\u202e",
    "\u2028": r"\u2028",
    "\u2066": r"\u2066",
    "\u200b": r"\u200b",
    "\ud800": r"\ud800",
    "\0": r"\x00",
}


class PrintableTests(SimpleTestCase):
    def test_escaped(self):
        for sign, shown in SIGNS.items():
            with self.subTest(sign=sign):
                assert printable(f"a {sign}é") == f"a {shown}é"

    def test_kept(self):
        for text in ("", "1994", "Größe ☕ 咖啡 \U0001f381", r"C:\n"):
            with self.subTest(text=text):
                assert printable(text) == text


class LoggerTests(SimpleTestCase):
    def test_arguments(self):
        logger = get_logger("django_button_orders.tests")
        with self.assertLogs(logger) as logs:
            for sign in SIGNS:
                logger.info("Order %s: %d of %s", sign, 7, ValueError(sign))

        lines = [record.getMessage() for record in logs.records]
        assert lines == [f"Order {text}: 7 of {text}" for text in SIGNS.values()]

    def test_template_is_kept(self):
        logger = get_logger("django_button_orders.tests")
        with self.assertLogs(logger) as logs:
            logger.info("Order %s", "\n")
            logger.info("Nothing")

        assert [record.msg for record in logs.records] == ["Order %s", "Nothing"]

    def test_every_logger_of_the_package(self):
        folder = Path(django_button_orders.__file__).parent
        plain = "logging.getLogger(__name__)"
        found = [path for path in folder.rglob("*.py") if plain in path.read_text()]

        assert found == []
        assert logging.getLogger("django_button_orders.delivery.record").filters
