"""Check the commands of sh and console blocks, without running them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import click
from celery.bin.celery import celery
from django.core.management import get_commands, load_command_class
from django.core.management.base import CommandError
from django.db import connections

from tests.snippets.errors import SnippetError
from tests.snippets.page import Block

MAKEFILE = Path(__file__).resolve().parent.parent.parent / "Makefile"
# What ends a command: pipes, redirections, lists, and the end of the line.
OPERATORS = re.compile(r"[|&;<>()]+$")
# Databases that pages name, and that the scratch project lacks.
DATABASES = {"archive": {}, "orders": {}}


def check_shell(block: Block) -> None:
    """Parse ``manage.py`` commands by their own parsers, and find make's targets."""
    for line in commands_of(block):
        check_line(line)


def check_line(line: str) -> None:
    for words in split(line):
        check_command(words)


def commands_of(block: Block) -> Iterator[str]:
    """Yield the lines of commands, with continued ones as one."""
    code = block.code.replace("\\\n", " ")
    for line in code.splitlines():
        text = line.strip()
        if block.language != "console":
            yield text
        elif text.startswith("$ "):
            yield text[2:]


def split(line: str) -> Iterator[list[str]]:
    """Yield the commands of a line, as lists of words."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for word in lexer:
            if OPERATORS.match(word):
                yield words
                words = []
            else:
                words.append(word)
    except ValueError as exc:
        raise SnippetError(f"A shell cannot read this line: {exc}\n    {line}") from exc
    yield words


def check_command(words: list[str]) -> None:
    if "make" in words[:1]:
        check_target(words[1:])
    for position, word in enumerate(words):
        if Path(word).name in ("manage.py", "django-admin"):
            check_management(words[position + 1 :])
            return
        if Path(word).name == "celery":
            check_celery(words[position + 1 :])
            return


def check_target(words: list[str]) -> None:
    targets = re.findall(r"^([\w-]+):", MAKEFILE.read_text(), re.M)
    for word in words:
        if re.fullmatch(r"[\w-]+", word) and word not in targets:
            raise SnippetError(f"The Makefile has no target {word!r}.")


def check_management(words: list[str]) -> None:
    name, *arguments = words or [""]
    if name == "tenant_command":
        # The command of django-tenants runs another one in the schema of a tenant.
        check_management([w for w in arguments if not w.startswith("--schema=")])
        return
    app = get_commands().get(name)
    if app is None:
        raise SnippetError(f"There is no command {name!r} of manage.py.")
    command = load_command_class(app, name)
    # Errors are raised, and do not end the process.
    command._called_from_command_line = False
    try:
        # Django's commands accept the databases of the settings.
        with patch.dict(connections.settings, {**DATABASES, **connections.settings}):
            command.create_parser("manage.py", name).parse_args(arguments)
    except CommandError as exc:
        line = shlex.join(["manage.py", *words])
        raise SnippetError(
            f"The command does not take this: {exc}\n    {line}\n"
            f"'manage.py {name} --help' lists its options."
        ) from exc
    except SystemExit as exc:
        # ``--help`` and ``--version`` end a process.
        if exc.code:
            raise SnippetError(f"{name} does not take {arguments}.") from exc


def check_celery(words: list[str]) -> None:
    """Parse ``celery --app X worker ...`` as Celery does."""
    context = click.Context(celery)
    try:
        _, rest, _ = celery.make_parser(context).parse_args(list(words))
        if not rest:
            return
        name, command, arguments = celery.resolve_command(context, rest)
        own_context = click.Context(command, parent=context, info_name=name)
        command.make_parser(own_context).parse_args(list(arguments))
    except click.UsageError as exc:
        line = shlex.join(["celery", *words])
        raise SnippetError(f"Celery does not take this: {exc}\n    {line}") from exc
