"""Parse the blocks of other languages."""

from __future__ import annotations

import configparser
import json
import re
from collections.abc import Callable, Mapping

import yaml
from django.template import engines

from tests.snippets.errors import SnippetError
from tests.snippets.page import Block

DOCKERFILE = re.compile(
    r"(FROM|RUN|CMD|LABEL|EXPOSE|ENV|ADD|COPY|ENTRYPOINT|VOLUME|USER|WORKDIR|ARG"
    r"|STOPSIGNAL|HEALTHCHECK|SHELL) +\S"
)


def parse_json(code: str) -> None:
    """Parse a JSON text, or one in each line."""
    try:
        json.loads(code)
    except ValueError:
        for line in code.splitlines():
            json.loads(line)


def parse_yaml(code: str) -> None:
    list(yaml.safe_load_all(code))


def parse_ini(code: str) -> None:
    # Units of systemd repeat keys, and have them without a value.
    parser = configparser.ConfigParser(
        strict=False, interpolation=None, allow_no_value=True
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(code)


def parse_toml(code: str) -> None:
    try:
        import tomllib
    except ImportError:
        return  # Python 3.10 has no parser.
    tomllib.loads(code)


def parse_template(code: str) -> None:
    engines["django"].from_string(code)


def parse_dockerfile(code: str) -> None:
    text = re.sub(r"^\s*#.*\n", "", code, flags=re.M).replace("\\\n", " ")
    for line in filter(str.strip, text.splitlines()):
        if not DOCKERFILE.match(line):
            raise ValueError(f"This is no instruction of a Dockerfile: {line}")


def parse_nginx(code: str) -> None:
    text = re.sub(r"#.*", "", code)
    if text.count("{") != text.count("}"):
        raise ValueError("The braces do not match.")
    for line in filter(None, map(str.strip, text.splitlines())):
        if line[-1] not in "{};":
            raise ValueError(f"This line does not end with ';': {line}")


PARSERS: Mapping[str, Callable[[str], None]] = {
    "dockerfile": parse_dockerfile,
    "html+django": parse_template,
    "ini": parse_ini,
    "json": parse_json,
    "nginx": parse_nginx,
    "toml": parse_toml,
    "yaml": parse_yaml,
}
# Outputs, and languages that only other programs can read.
UNCHECKED = {"none", "text", "http", "promql", "sql", "csv", "procfile", "caddy"}


def check_format(block: Block) -> None:
    parser = PARSERS.get(block.language)
    if parser is None:
        raise SnippetError(
            f"No one checks {block.language!r}. Use one of python, sh, console, "
            f"{', '.join(sorted(PARSERS))}; or 'text' for output."
        )
    try:
        parser(block.code)
    except Exception as exc:
        raise SnippetError(f"This is not valid {block.language}: {exc}") from exc
