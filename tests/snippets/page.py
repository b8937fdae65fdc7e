"""Find the blocks of a page, in the sequence in which a reader sees them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

DIRECTIVE = re.compile(r"(?P<indent> *)\.\. code-block::(?: +(?P<language>\S+))? *$")
OPTION = re.compile(r" *:(?P<name>[\w-]+):(?: +(?P<value>.*))?$")
SKIP = re.compile(r' *\.\. skip: next if\(True, reason="(?P<reason>[^"]+)"\) *$')
# A paragraph that ends so, before lines that are indented more, is a block as well.
LITERAL = re.compile(r"(?P<indent> *)(?!\.\. ).*::$")


@dataclass(frozen=True)
class Block:
    """A block of code. ``line`` is where its code begins, counted from 1."""

    path: Path
    line: int
    language: str
    code: str
    skip: str = ""
    options: dict[str, str] = field(default_factory=dict)


def find_blocks(path: Path) -> Iterator[Block]:
    """Yield the blocks of a page. A skip that no block follows is a wrong block."""
    lines = path.read_text().splitlines()
    skip = ""
    for number, line in enumerate(lines):
        if found := SKIP.match(line):
            skip = found["reason"]
        elif found := DIRECTIVE.match(line):
            yield read_block(path, lines, number, found, skip)
            skip = ""
        elif LITERAL.match(line) and is_literal(lines, number):
            yield Block(path, number + 1, "::", line, skip)
            skip = ""
        elif skip and line.strip():
            yield Block(path, number + 1, "skip", line)
            skip = ""


def read_block(
    path: Path, lines: list[str], number: int, found: re.Match[str], skip: str
) -> Block:
    start = number + 1
    options = {}
    while start < len(lines) and (option := OPTION.match(lines[start])):
        options[option["name"]] = option["value"] or ""
        start += 1
    end = start
    while end < len(lines) and is_inside(lines[end], len(found["indent"])):
        end += 1
    while start < end and not lines[start].strip():
        start += 1
    code = dedent("\n".join(lines[start:end])).rstrip() + "\n"
    language = (found["language"] or "none").lower()
    return Block(path, start + 1, language, code, skip, options)


def is_inside(line: str, indent: int) -> bool:
    return not line.strip() or len(line) - len(line.lstrip()) > indent


def is_literal(lines: list[str], number: int) -> bool:
    """Return whether a paragraph that ends with two colons opens a block."""
    indent = len(lines[number]) - len(lines[number].lstrip())
    rest = [line for line in lines[number + 1 :] if line.strip()]
    is_open = len(lines) > number + 1 and not lines[number + 1].strip()
    return is_open and bool(rest) and len(rest[0]) - len(rest[0].lstrip()) > indent
