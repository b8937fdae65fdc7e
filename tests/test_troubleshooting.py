"""The help quotes messages as the code has them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import django_button_orders

PACKAGE = Path(django_button_orders.__file__).parent
HELP = PACKAGE.parent / "docs" / "help"
# A code block of the class "message". An ellipsis stands for any text.
MESSAGE = re.compile(
    r"^\.\. code-block:: text\n   :class: message\n\n((?:   .+\n)+)", re.MULTILINE
)
ELLIPSIS = "…"


def quoted_messages() -> list[str]:
    pages = [path.read_text() for path in sorted(HELP.glob("*.rst"))]
    return [
        " ".join(lines.split()) for page in pages for lines in MESSAGE.findall(page)
    ]


def texts_of_code() -> Iterator[str]:
    """Yield what users may see: texts of modules, but no docstrings, and templates."""
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name == "migrations":
            continue
        nodes = list(ast.walk(ast.parse(path.read_text())))
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if id(node) in docstrings:
                continue
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    part.value
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                    else ELLIPSIS
                    for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    for path in PACKAGE.rglob("*.html"):
        yield path.read_text()


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [" ".join(text.split()) for text in texts_of_code()]


@pytest.mark.parametrize("message", quoted_messages())
def test_message_exists(message, texts):
    parts = map(re.escape, message.split(ELLIPSIS))
    pattern = re.compile(".*".join(parts))

    assert any(pattern.search(text) for text in texts)


def test_messages_are_found():
    assert len(quoted_messages()) > 10
