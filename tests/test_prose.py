"""Texts that users read are short, and in the words of the glossary: see ``prose``."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import get_commands, load_command_class
from django.db import models

import django_button_orders
from django_button_orders.management.exit_statuses import exit_statuses_of
from tests import prose

PACKAGE = Path(django_button_orders.__file__).parent
ROOT = PACKAGE.parent
CONFIG = apps.get_app_config("django_button_orders")
PAGES = sorted([*ROOT.glob("*.rst"), *(ROOT / "docs").rglob("*.rst")])
MODULES = sorted(PACKAGE.rglob("*.py"))
TEMPLATES = sorted(PACKAGE.rglob("templates/**/*.html"))
COMMANDS = sorted(
    name for name, app in get_commands().items() if app == "django_button_orders"
)

# The functions and classes that are called with texts for users.
SPEAKING = {
    *("_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy", "pgettext_lazy"),
    *("CommandError", "ImproperlyConfigured", "ValidationError", "Error", "Warning"),
    # Of loggers, and of the output of commands.
    *("error", "info", "warning", "write"),
}
TRANSLATED = re.compile(
    r"{% translate (?P<quote>[\"'])(?P<text>.*?)(?P=quote)"
    r"|{% (?P<block>blocktranslate)[^%]*%}(?P<content>.*?){% endblocktranslate %}",
    re.DOTALL,
)
# Longer help texts would crowd the pages of the admin.
MAX_HELP_TEXT = 90


def texts_in(module):
    """Return the texts with which a module calls ``SPEAKING``. Values become "X"."""
    return [
        (node.lineno, text)
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call) and name_of(node.func) in SPEAKING
        for argument in node.args
        if (text := text_of(argument))
    ]


def name_of(node):
    return getattr(node, "id", "") or getattr(node, "attr", "")


def text_of(node):
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "X" for part in node.values)
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    return ""


def check(texts):
    problems = [
        str(problem)
        for line, text in texts
        for problem in prose.find_problems(text, line)
    ]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page):
    problems = prose.check_page(page.relative_to(ROOT))

    assert not problems, "\n".join(map(str, problems))


@pytest.mark.parametrize(
    "module", MODULES, ids=lambda path: str(path.relative_to(ROOT))
)
def test_module(module):
    check(texts_in(module))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_template(template):
    check(
        (0, found["text"] or found["content"])
        for found in TRANSLATED.finditer(template.read_text())
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_command(name):
    command = load_command_class("django_button_orders", name)
    parser = command.create_parser("manage.py", name)
    texts = [command.help, *exit_statuses_of(name).values()]
    texts += [action.help for action in parser._actions]

    check((0, text) for text in texts)


def test_help_texts():
    """The admin and the reference page of the models show them."""
    for model in CONFIG.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, models.AutoField):
                continue
            text = str(field.help_text)
            assert text.endswith("."), field
            assert len(text) <= MAX_HELP_TEXT, (field, len(text))


def test_problems():
    """The rules find what they should, and nothing in code."""
    page = """
=========================
What is never so long as it
=========================

Whoever reads this, has a row of its own. See :doc:`the page <ever>`.

.. code-block:: python

    # so many, by itself

* Call ``so_long()``::

      of theirs

* Leave it
  alone: one two three four five six seven eight nine ten eleven twelve thirteen
  fourteen fifteen sixteen seventeen eighteen nineteen twenty one two three four five
  six seven eight.

.. warning::

    What is here is prose.

.. a comment by itself
"""
    found = [
        problem
        for line, text in prose.paragraphs_of(page)
        for problem in prose.find_problems(text, line)
    ]

    assert [(problem.line, problem.fix) for problem in found] == [
        (6, "its, for it, or nothing"),
        (6, "any, each, if, or the noun"),
        (6, "Button order"),
        (6, "begin with the subject"),
        (16, "skip, ignore"),
        (16, "31 words: split the sentence"),
        (23, "begin with the subject"),
    ]
