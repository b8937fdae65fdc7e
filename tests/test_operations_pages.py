"""The pages about operations name the permissions, reasons and kinds of the code."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.test import SimpleTestCase, TestCase

from django_button_orders.admin.verbs import VERBS
from django_button_orders.models import ButtonOrder, Difference
from django_button_orders.report import columns
from tests.test_personal_data import CODE

DOCS = Path(__file__).resolve().parent.parent / "docs"
OPERATORS = DOCS / "howto" / "operators.rst"
FIRST_CELL = re.compile(r"^   \* - ``(\w+)``$", re.MULTILINE)
CODENAME = re.compile(
    r"\b[a-z_]+_(?:buttonorder|submission|difference|pausedaccount)\b"
)


def section(path, title):
    """Return the text of a page from a title to the next one of its kind."""
    text = path.read_text()
    start = re.search(rf"^{re.escape(title)}\n(.)\1*\n", text, re.MULTILINE)
    end = re.compile(rf"^.+\n{re.escape(start[1])}{{3,}}\n", re.MULTILINE)
    following = end.search(text, start.end())
    return text[start.end() : following.start() if following else None]


class OperatorTests(TestCase):
    def test_groups(self):
        """The snippet's names are permissions, of which each group has more."""
        [code] = [
            textwrap.dedent(code)
            for _, code in CODE.findall(OPERATORS.read_text())
            if "GROUPS" in code
        ]
        names = {}

        exec(code, names)  # noqa: S102 - our own page

        counts = []
        for name, codenames in names["GROUPS"].items():
            group = Group.objects.get(name=name)
            found = group.permissions.values_list("codename", flat=True)
            assert sorted(found) == sorted(codenames)
            counts.append(len(codenames))
        assert counts == sorted(set(counts))

    def test_permissions(self):
        """The page names each permission that this app has made up, and no other."""
        named = set(CODENAME.findall(OPERATORS.read_text()))
        own = {
            codename
            for model in apps.get_app_config("django_button_orders").get_models()
            for codename, _ in model._meta.permissions
        }

        assert own <= named
        assert named <= set(Permission.objects.values_list("codename", flat=True))


class TableTests(SimpleTestCase):
    def test_reasons(self):
        found = FIRST_CELL.findall(section(OPERATORS, "Reasons, and what to do"))

        assert sorted(found) == sorted(ButtonOrder.Reason.values)

    def test_buttons(self):
        """Each button of the admin has its permission beside it."""
        text = section(OPERATORS, "What each button does")

        for verb in VERBS:
            _, _, rest = text.partition(f"   * - {verb.label}\n")
            assert f"``{verb.name}_buttonorder``" in rest.partition("   * - ")[0]

    def test_differences(self):
        page = DOCS / "howto" / "reconcile.rst"
        found = FIRST_CELL.findall(page.read_text())

        assert set(found) == set(Difference.Kind.values)

    def test_columns(self):
        """The columns of batch files are those of the code, the defaults in order."""
        text = section(DOCS / "howto" / "batch-files.rst", "Set up")
        rows = re.findall(r"^   \* - (.+)\n     - (``.*)$", text, re.MULTILINE)
        found = {kind.strip("`"): re.findall(r"``(\w+)``", row) for kind, row in rows}

        for kind, default in columns.DEFAULT.items():
            assert found[kind] == list(default.values())
        others = set(columns.COLUMNS) - set(found["new"]) - set(found["changes"])
        assert set(found["not in a default"]) == others
