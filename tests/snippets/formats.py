"""Parse the blocks of other languages, and check the commands in them."""

from __future__ import annotations

import configparser
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

import yaml
from django.template import engines

from tests.snippets.errors import SnippetError
from tests.snippets.page import Block
from tests.snippets.shell import check_line

DOCKERFILE = re.compile(
    r"(FROM|RUN|CMD|LABEL|EXPOSE|ENV|ADD|COPY|ENTRYPOINT|VOLUME|USER|WORKDIR|ARG"
    r"|STOPSIGNAL|HEALTHCHECK|SHELL) +\S"
)


# A parser raises an error, or yields the commands in the block, as in a shell.


def parse_json(code: str) -> Iterator[str]:
    """Parse a JSON text, or one in each line."""
    try:
        json.loads(code)
    except ValueError:
        for line in code.splitlines():
            json.loads(line)
    yield from ()


def parse_yaml(code: str) -> Iterator[str]:
    for document in yaml.safe_load_all(code):
        yield from commands_in(document)


def commands_in(value: Any) -> Iterator[str]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        yield shlex.join(value)
    elif isinstance(value, list):
        yield from chain.from_iterable(map(commands_in, value))
    elif isinstance(value, dict):
        yield from chain.from_iterable(map(commands_in, value.values()))


def parse_ini(code: str) -> Iterator[str]:
    # Units of systemd repeat keys, and have them without a value.
    parser = configparser.ConfigParser(
        strict=False, interpolation=None, allow_no_value=True
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as its docs say
    parser.read_string(code)
    yield from re.findall(r"^Exec\w+=(.*)", code.replace("\\\n", " "), re.M)


def parse_toml(code: str) -> Iterator[str]:
    try:
        import tomllib
    except ImportError:
        return  # Python 3.10 has no parser.
    tomllib.loads(code)
    yield from ()


def parse_template(code: str) -> Iterator[str]:
    engines["django"].from_string(code)
    yield from ()


def parse_dockerfile(code: str) -> Iterator[str]:
    text = re.sub(r"^\s*#.*\n", "", code, flags=re.M).replace("\\\n", " ")
    for line in filter(str.strip, text.splitlines()):
        if not DOCKERFILE.match(line):
            raise ValueError(f"This is no instruction of a Dockerfile: {line}")
        name, _, rest = line.partition(" ")
        if name in ("CMD", "ENTRYPOINT", "RUN"):
            yield shlex.join(json.loads(rest)) if rest.startswith("[") else rest


def parse_nginx(code: str) -> Iterator[str]:
    text = re.sub(r"#.*", "", code)
    if text.count("{") != text.count("}"):
        raise ValueError("The braces do not match.")
    for line in filter(None, map(str.strip, text.splitlines())):
        if line[-1] not in "{};":
            raise ValueError(f"This line does not end with ';': {line}")
    yield from ()


def parse_procfile(code: str) -> Iterator[str]:
    for line in code.splitlines():
        name, colon, command = line.partition(": ")
        if not (colon and re.fullmatch(r"\w+", name)):
            raise ValueError(f"This is not 'name: command': {line}")
        yield command


PARSERS: Mapping[str, Callable[[str], Iterator[str]]] = {
    "dockerfile": parse_dockerfile,
    "html+django": parse_template,
    "ini": parse_ini,
    "json": parse_json,
    "nginx": parse_nginx,
    "procfile": parse_procfile,
    "toml": parse_toml,
    "yaml": parse_yaml,
}
# Outputs, and languages that only other programs can read.
UNCHECKED = {"none", "text", "http", "promql", "sql", "csv"}


def check_format(block: Block) -> None:
    parser = PARSERS.get(block.language)
    if parser is None:
        raise SnippetError(
            f"No one checks {block.language!r}. Use one of python, sh, console, "
            f"{', '.join(sorted(PARSERS))}; or 'text' for output."
        )
    try:
        commands = list(parser(block.code))
    except Exception as exc:
        raise SnippetError(f"This is not valid {block.language}: {exc}") from exc
    for command in commands:
        check_line(command)
