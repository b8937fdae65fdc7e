"""
The generated reference says what the code says, and each thing has its prose.

``make docs`` builds the site; nothing here needs Sphinx.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from django.test import SimpleTestCase

import django_button_orders
from django_button_orders import conf, signals
from django_button_orders.delivery import outcome, verdicts
from django_button_orders.models import ButtonOrder
from django_button_orders.models.states import STATES, Reason, Status
from django_button_orders.operations.orders import ACTIONS

DOCS = Path(django_button_orders.__file__).parent.parent / "docs"
with mock.patch.object(sys, "path", [str(DOCS / "_ext"), *sys.path]):
    import from_code
    import state_diagram

REFERENCE = DOCS / "reference"
# A role of the site, such as :setting:`SITE`.
ROLE = re.compile(r":(\w+):`(?:[^`<]*<)?([^`>]+)>?`")


def page(name):
    return (REFERENCE / f"{name}.rst").read_text(encoding="utf-8")


def body_of(kind, name, text):
    """Return the indented lines below a directive."""
    match = re.search(
        rf"^\.\. {kind}:: {re.escape(name)}\n((?:\n|   .*\n)*)", text, re.MULTILINE
    )
    return match[1].strip()


class ProseTests(SimpleTestCase):
    """Each thing of the code is described on its page, and nothing else is."""

    THINGS = {
        "setting": ("settings", from_code.setting_names),
        "reason": ("states", lambda: list(Reason.values)),
        "check": ("checks", from_code.check_ids),
        "permission": ("permissions", lambda: list(from_code.permissions())),
        "metric": ("metrics", from_code.metric_names),
    }

    def test_all_are_described(self):
        assert self.THINGS.keys() == from_code.FACTS.keys()
        for kind, (name, names) in self.THINGS.items():
            with self.subTest(kind=kind):
                described = list(from_code.described_names(kind, page(name)))

                assert sorted(described) == sorted(names())

    def test_each_has_prose_and_facts(self):
        for kind, (name, names) in self.THINGS.items():
            for item in names():
                with self.subTest(kind=kind, item=item):
                    assert body_of(kind, item, page(name)).endswith(".")
                    assert all(map(all, from_code.FACTS[kind](item)))

    def test_what_does_not_exist_has_no_facts(self):
        for kind, facts in from_code.FACTS.items():
            with (
                self.subTest(kind=kind),
                pytest.raises((LookupError, ValueError, StopIteration)),
            ):
                facts("E999")

    def test_links_lead_to_something(self):
        for path in DOCS.rglob("*.rst"):
            for kind, item in ROLE.findall(path.read_text(encoding="utf-8")):
                if kind in self.THINGS:
                    with self.subTest(page=path.name, item=item):
                        assert item in self.THINGS[kind][1]()


class InstallationTests(SimpleTestCase):
    def test_each_command_names_the_repository(self):
        """PyPI does not have the package yet."""
        lines = [
            line
            for path in [DOCS.parent / "README.rst", *DOCS.rglob("*.rst")]
            for line in path.read_text(encoding="utf-8").splitlines()
            if "pip install" in line and "django-button-orders" in line
        ]

        assert lines
        for line in lines:
            with self.subTest(line=line.strip()):
                assert "git+https://" in line


class SettingTests(SimpleTestCase):
    def test_facts(self):
        assert dict(from_code.setting_facts("TIMEOUT")) == {
            "Type": "``tuple[float, float]``",
            "Default": "``(3.05, 10)``",
            "Rule": "Must be a pair of numbers above 0: connect and read seconds. "
            "See :check:`E002`.",
            "Accounts": "May differ.",
        }

    def test_table(self):
        lines = "\n".join(from_code.settings_table())

        for name in conf.FIELDS:
            assert f":setting:`{name}`" in lines

    def test_differing(self):
        """What the page says may differ is what the setting accepts."""
        for name in conf.FIELDS:
            with self.subTest(name=name):
                account = {"API_KEY": "sk-eu", name: None}
                with self.settings(BUTTON_ORDERS={"ACCOUNTS": {"eu": account}}):
                    kinds = {problem.kind for problem in conf.find_problems()}

                assert ("unknown" in kinds) != from_code.differs_per_account(name)

    def test_types_have_names_for_readers(self):
        for name in conf.FIELDS:
            assert re.fullmatch(
                r"[a-z\[\], .|]+|.*None", from_code.setting_type(name)
            ), name

    def test_time_until_exhausted(self):
        hours = sum(conf.Settings().retry_schedule) / 3600

        text = body_of("setting", "RETRY_SCHEDULE", page("settings"))
        assert f"{hours:.1f} hours" in text
        assert f"{hours * 1.2:.1f} hours" in text
        assert f"{round(hours)} to {round(hours * 1.2)} hours" in text


class CommandTests(SimpleTestCase):
    def test_each_has_its_section(self):
        for name in from_code.command_names():
            with self.subTest(name=name):
                assert f".. _{name}:" in page("commands")
                assert f".. from-code:: command {name}\n" in page("commands")

    def test_options(self):
        for name in from_code.command_names():
            lines = "\n".join(from_code.command(name))
            for action in from_code.parser_of(name)._actions:
                for option in filter(from_code.is_ours, [action]):
                    with self.subTest(name=name, option=option.dest):
                        assert f".. option:: {from_code.signature(option)}\n" in lines

    def test_no_option_of_django(self):
        lines = "\n".join(from_code.command("button_orders_status"))

        assert "--fail-if-due N" in lines
        assert "--pythonpath" not in lines
        assert "--help" not in lines

    def test_setting_with_a_key_is_one_code(self):
        text = from_code.prose("Set BUTTON_ORDERS['BATCH_FILE_BRAND'] first.")
        assert text == "Set ``BUTTON_ORDERS['BATCH_FILE_BRAND']`` first."

    def test_defaults_are_filled_in(self):
        for name in from_code.command_names():
            assert "%(" not in "\n".join(from_code.command(name))

    def test_exit_statuses(self):
        lines = "\n".join(from_code.exit_statuses())

        for name in from_code.command_names():
            assert f":ref:`{name} <{name}>`" in lines


class ModelTests(SimpleTestCase):
    def test_all_are_on_the_page(self):
        for model in from_code.our_models():
            name = model.__name__
            with self.subTest(name=name):
                assert f".. from-code:: model {name}\n" in page("models")

    def test_fields(self):
        lines = "\n".join(from_code.model("ButtonOrder"))

        for field in ButtonOrder._meta.fields:
            assert f"``{field.name}`` : " in lines


class StateTests(SimpleTestCase):
    def test_statuses_and_states_are_described(self):
        for name in (*Status.values, *STATES):
            with self.subTest(name=name):
                assert f"\n``{name}``\n   " in page("states")

    def test_answers(self):
        _, *rows = re.findall(r"\* - (.*)", "\n".join(from_code.answers()))
        found = ", ".join(rows).split(", ")

        words = from_code.ANSWER_WORDS
        assert sorted(found) == sorted(words.get(key, key) for key in verdicts.ANSWERS)

    def test_ways_of_attempts(self):
        found = {edge.name: edge.target for edge in state_diagram.results()}

        assert found == {
            result.value: outcome.STATUSES.get(result, "pending")
            for result in verdicts.Result
        }

    def test_ways_of_moves(self):
        found = {
            (edge.name, edge.source, edge.target) for edge in state_diagram.moves()
        }

        assert {name for name, *_ in found} == {*ACTIONS, state_diagram.CHANGE} - (
            state_diagram.ERASING
        )
        assert ("dismiss", "failed", "dismissed") in found
        assert ("retry", "dismissed", "pending") in found
        assert ("retry", "reported", "pending") not in found
        assert ("cancel", "cancelled", "pending") not in found
        assert {source for name, source, _ in found if name == "change"} == set(Status)

    def test_drawing_has_all_that_the_words_have(self):
        drawing = state_diagram.draw()
        words = "\n".join(state_diagram.in_words())

        for edge in state_diagram.edges():
            if edge.source != edge.target:
                with self.subTest(edge=edge):
                    assert state_diagram.words(edge) in drawing
                    assert state_diagram.words(edge) in words
        for name in (*Status.values, *state_diagram.PARTS):
            assert f">{name}<" in drawing


class ApiTests(SimpleTestCase):
    def test_public_names(self):
        for name in django_button_orders.__all__:
            with self.subTest(name=name):
                directive = rf"^\.\. [\w:-]+:: {name}(\(.*\).*)?$"
                assert re.search(directive, page("api"), re.MULTILINE)

    def test_signature_with_a_constant(self):
        beat_schedule = inspect.signature(django_button_orders.beat_schedule)
        default = beat_schedule.parameters["sweep_seconds"].default

        assert f"beat_schedule(*, sweep_seconds: float = {default})" in page("api")

    def test_signals(self):
        names = [
            name
            for name in vars(signals)
            if isinstance(vars(signals)[name], signals.Signal)
        ]

        assert len(names) == 4
        for name in names:
            assert f".. autodata:: {name}\n" in page("api")


class MetricTests(SimpleTestCase):
    def test_attributes_of_spans(self):
        name = "django_button_orders.monitoring.opentelemetry"
        opentelemetry = pytest.importorskip(name)
        call = SimpleNamespace(method="", url="", operation="", status_code=200)

        for attribute in opentelemetry.attributes_of("1994", "default", call):
            assert f"``{attribute}``" in page("metrics")
