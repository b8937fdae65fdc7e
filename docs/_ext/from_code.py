"""
The parts of the reference that are generated from the code, as reStructuredText.

Nothing here needs Sphinx, so that the tests run without it. ``FACTS`` has what the
code says about one thing, such as a setting; the page has the prose beside it.
``TABLES`` has whole tables and lists.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import personal_data
from django.apps import apps
from django.core.management import get_commands, load_command_class
from django.core.management.base import CommandParser, DjangoHelpFormatter
from django.db import models

import django_button_orders
from django_button_orders import conf
from django_button_orders.delivery import outcome, verdicts
from django_button_orders.management.exit_statuses import COMMON, exit_statuses_of
from django_button_orders.models.states import Reason
from django_button_orders.monitoring.metrics import METRICS
from django_button_orders.report import columns

APP = "django_button_orders"
PACKAGE = Path(django_button_orders.__file__).parent
# What the page of settings calls the types of the annotations.
TYPE_NAMES = {
    "columns.Columns": "dict[str, dict[str, str]]",
    "Mapping[str, Mapping[str, Any]]": "dict[str, dict]",
}
# What the page of models calls the types of the columns.
COLUMN_TYPES = {
    "BigAutoField": "integer",
    "BigIntegerField": "integer",
    "BooleanField": "boolean",
    "CharField": "text",
    "DateTimeField": "date and time",
    "FloatField": "number",
    "IntegerField": "integer",
    "JSONField": "JSON",
    "PositiveSmallIntegerField": "integer",
    "SmallIntegerField": "integer",
    "TextField": "text",
    "UUIDField": "UUID",
}
CHECK_ID = re.compile(rf"{APP}\.([EW][0-9]{{3}})")
# Options, settings, functions and columns in a help text.
CODE = re.compile(
    r"(--[a-z][a-z-]*|\bBUTTON_ORDERS\['\w+'\]|\b[A-Z]{2,}(?:_[A-Z]+)+\b"
    r"|\b[a-z_]+\(\)|\bmanage\.py\b|\b[a-z]+(?:_[a-z0-9]+)+\b)"
)

Facts = list[tuple[str, str]]


# Writing reStructuredText


def plain(text: str) -> str:
    """Return a text of the code with its markup characters escaped."""
    return re.sub(r"([\\*`|]|_(?=\W|$))", r"\\\1", text)


def prose(text: str) -> str:
    """Return a help text with its options and settings as code."""
    parts = CODE.split(" ".join(text.split()))
    return "".join(
        f"``{part}``" if index % 2 else plain(part) for index, part in enumerate(parts)
    )


def code(value: object) -> str:
    return f"``{value}``"


def indent(lines: Iterable[str], by: str = "   ") -> list[str]:
    return [f"{by}{line}" if line else "" for line in lines]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table, whose cells are of one line each."""
    lines = [".. list-table::", "   :class: from-code", "   :header-rows: 1", ""]
    for row in (header, *rows):
        lines += [f"   {'-' if at else '* -'} {cell}" for at, cell in enumerate(row)]
        # The first cell of a row opens a list, and the others continue it.
        start = len(lines) - len(row)
        lines[start + 1 :] = [f"  {line}" for line in lines[start + 1 :]]
    return lines


def field_list(facts: Facts) -> list[str]:
    return [f":{name}: {value}" for name, value in facts]


# Settings


def setting_names() -> list[str]:
    return list(conf.FIELDS)


def setting_type(name: str) -> str:
    annotation = str(conf.FIELDS[name].type)
    return TYPE_NAMES.get(annotation, annotation)


def setting_default(name: str) -> str:
    item = conf.FIELDS[name]
    if item.default is not MISSING:
        return repr(item.default)
    assert item.default_factory is not MISSING  # noqa: S101 - a field has one of them
    return repr(item.default_factory())


def differs_per_account(name: str) -> bool:
    return name not in conf.PROCESS_KEYS and name != "ACCOUNTS"


def setting_facts(name: str) -> Facts:
    """Return what ``conf.Settings`` says about a key."""
    per_account = "May differ" if differs_per_account(name) else "Is for all accounts"
    return [
        ("Type", code(setting_type(name))),
        ("Default", code(setting_default(name))),
        (
            "Rule",
            f"Must {plain(conf.FIELDS[name].metadata['must'])}. See :check:`E002`.",
        ),
        ("Accounts", f"{per_account}."),
    ]


def settings_table() -> list[str]:
    return table(
        ["Setting", "Default", "Per account"],
        (
            [
                f":setting:`{name}`",
                code(setting_default(name)),
                "yes" if differs_per_account(name) else "no",
            ]
            for name in setting_names()
        ),
    )


# Commands


def command_names() -> list[str]:
    return sorted(name for name, app in get_commands().items() if app == APP)


def parser_of(name: str) -> CommandParser:
    return load_command_class(APP, name).create_parser("manage.py", name)


def is_ours(action: Any) -> bool:
    """Return whether an argument is the command's own, and not one of Django's."""
    djangos = {*DjangoHelpFormatter.show_last, "--help"}
    return not djangos.intersection(action.option_strings)


def first_sentence(text: str) -> str:
    return re.split(r"(?<=[.:]) ", " ".join(text.split()))[0].rstrip(":.") + "."


def commands_table() -> list[str]:
    """Return a table of the commands, with the first sentence of each help."""
    return table(
        ["Command", "Does"],
        (
            [f":ref:`{name} <{name}>`", prose(first_sentence(help_of(name)))]
            for name in command_names()
        ),
    )


def help_of(name: str) -> str:
    return str(load_command_class(APP, name).help)


def command(name: str) -> list[str]:
    """Return the help of a command: what it does, its examples and its options."""
    examples = load_command_class(APP, name).examples.rstrip("\n").splitlines()
    lines = [prose(help_of(name)), "", ".. code-block:: sh", ""]
    lines += [f"   {line.removeprefix('  ')}" for line in examples]
    lines += ["", f".. program:: {name}", ""]
    for group in parser_of(name)._action_groups:
        lines += options_of(group)
    return lines


def options_of(group: Any) -> list[str]:
    """Return the arguments of a group, below its title if the command has chosen it."""
    lines: list[str] = []
    ours = [action for action in group._group_actions if is_ours(action)]
    if ours and group.title not in ("options", "optional arguments"):
        lines += [f".. rubric:: {plain(group.title[0].upper() + group.title[1:])}", ""]
    for action in ours:
        lines += [f".. option:: {signature(action)}", ""]
        lines += [f"   {described(action)}", ""]
    return lines


def signature(action: Any) -> str:
    """Return how an argument is written on the command line."""
    value = ""
    if action.nargs != 0:
        value = str(action.metavar or action.dest.upper())
        if action.choices and not action.metavar:
            value = f"{{{','.join(map(str, action.choices))}}}"
    if not action.option_strings:
        return value
    return ", ".join(f"{name} {value}".strip() for name in action.option_strings)


def described(action: Any) -> str:
    """Return the help of an argument as a sentence."""
    text = " ".join((action.help % {"default": action.default}).split())
    end = "" if text.endswith(".") else "."
    return prose(text[0].upper() + text[1:] + end)


def exit_statuses() -> list[str]:
    """Return the exit statuses of every command, in one table."""
    return table(
        ["Command", "Status", "Means"],
        (
            [f":ref:`{name} <{name}>`", code(status), prose(meaning)]
            for name in command_names()
            for status, meaning in exit_statuses_of(name).items()
            if status not in COMMON or meaning != COMMON[status]
        ),
    )


def common_exit_statuses() -> list[str]:
    """Return the exit statuses that mean the same for all commands, or for most."""
    return table(
        ["Status", "Means"],
        ([code(status), prose(meaning)] for status, meaning in COMMON.items()),
    )


# Columns of batch files


def batch_columns() -> list[str]:
    """Return the default columns of each kind, and the other columns there are."""
    defaults = {kind: list(columns.DEFAULT[kind].values()) for kind in columns.KINDS}
    used = {name for names in defaults.values() for name in names}
    others = [name for name in columns.COLUMNS if name not in used]
    lines = [f"* Default of ``{kind}``: {listed(defaults[kind])}." for kind in defaults]
    return [*lines, f"* Other columns: {listed(others)}."]


def listed(names: Iterable[str]) -> str:
    return ", ".join(map(code, names))


# Models


def our_models() -> list[type[models.Model]]:
    return list(apps.get_app_config(APP).get_models())


def model(name: str) -> list[str]:
    """Return the fields of a model: type, name, help text and choices."""
    lines: list[str] = []
    for item in apps.get_model(APP, name)._meta.get_fields():
        if isinstance(item, models.Field):
            lines += [f"``{item.name}`` : {field_type(item)}"]
            lines += [*indent(field_words(item)), ""]
    return lines


def field_type(item: models.Field[Any, Any]) -> str:
    """Return the kind of a column in words."""
    if item.remote_field:
        text = f"key of {item.remote_field.model._meta.label}"
    else:
        text = COLUMN_TYPES[item.get_internal_type()]
    if item.max_length:
        text += f", at most {item.max_length} characters"
    if item.unique:
        text += ", unique"
    return text + (", may be null" if item.null else "")


def field_words(item: models.Field[Any, Any]) -> list[str]:
    name = str(item.verbose_name)
    words = f"{plain(name[0].upper() + name[1:])}."
    if item.help_text:
        words += f" {prose(str(item.help_text))}"
    if item.choices:
        words += f" One of {', '.join(code(value) for value, _ in item.flatchoices)}."
    return [words]


# Answers of Button, and reasons


def in_words(rule: verdicts.Verdict | verdicts.Next) -> str:
    """Return what a rule of the table of answers means."""
    if isinstance(rule, verdicts.Next):
        return f"then {rule.operation}"
    if rule == verdicts.LATER:
        return "retry"
    reason = f": :reason:`{rule.reason}`" if rule.reason else ""
    return f"{rule.result.value}{reason}"


ANSWER_WORDS = {
    "none": "no answer",
    "ok": "success",
    "2xx": "another 2xx",
    "4xx": "another 4xx",
    "other": "any other",
}


def answers() -> list[str]:
    """Return the table of Button's answers, with a row for those that mean the same."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for key, rules in verdicts.ANSWERS.items():
        meaning = tuple(map(in_words, rules))
        rows.setdefault(meaning, []).append(ANSWER_WORDS.get(key, key))
    return table(
        ["Answer", *(operation.value for operation in verdicts.OPERATIONS)],
        ([", ".join(keys), *meaning] for meaning, keys in rows.items()),
    )


def reason_facts(name: str) -> Facts:
    return [("In the admin", plain(str(Reason(name).label)))]


def results() -> dict[str, str]:
    """Return the status of a Button order after each result of an attempt."""
    return {
        result.value: outcome.STATUSES.get(result, "pending")
        for result in verdicts.Result
    }


# Checks


def check_ids() -> list[str]:
    """Return the ids of all system checks, which are texts in the code."""
    found: set[str] = set()
    for path in PACKAGE.rglob("*checks.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.update(CHECK_ID.findall(node.value))
    return sorted(found)


def check_facts(name: str) -> Facts:
    if name not in check_ids():
        raise LookupError(f"The code has no check {name}.")
    return [
        ("Level", "Error" if name.startswith("E") else "Warning"),
        ("Id", code(f"{APP}.{name}")),
    ]


# Permissions


def permissions() -> dict[str, tuple[str, str]]:
    """Return the label of each permission and its model, by codename."""
    found: dict[str, tuple[str, str]] = {}
    for item in our_models():
        for codename, label in item._meta.permissions:
            found[codename] = (str(label), item._meta.object_name or "")
    return found


def permission_facts(name: str) -> Facts:
    label, of_model = permissions()[name]
    return [("Name", plain(label)), ("Model", code(of_model))]


# Metrics


def metric_names() -> list[str]:
    return [metric.name for metric in METRICS]


def metric_facts(name: str) -> Facts:
    metric = next(metric for metric in METRICS if metric.name == name)
    return [
        ("Help", plain(metric.description)),
        ("Labels", ", ".join(map(code, metric.labels)) or "none"),
        *([("Unit", code(metric.unit))] if metric.unit else []),
    ]


def metrics() -> list[str]:
    return table(
        ["Metric", "Help"],
        ([f":metric:`{item.name}`", plain(item.description)] for item in METRICS),
    )


# What the directives offer.

FACTS: dict[str, Callable[[str], Facts]] = {
    "setting": setting_facts,
    "reason": reason_facts,
    "check": check_facts,
    "permission": permission_facts,
    "metric": metric_facts,
}
TABLES: dict[str, Callable[..., list[str]]] = {
    "settings": settings_table,
    "commands": commands_table,
    "command": command,
    "exit-statuses": exit_statuses,
    "common-exit-statuses": common_exit_statuses,
    "columns": batch_columns,
    "model": model,
    "answers": answers,
    "metrics": metrics,
    "personal-data": personal_data.table,
    "no-personal-data": personal_data.others,
}


def described_names(kind: str, page: str) -> Iterator[str]:
    """Yield the names that a page describes with ``.. kind:: name``."""
    yield from re.findall(rf"^\.\. {kind}:: (\S+)$", page, flags=re.MULTILINE)
