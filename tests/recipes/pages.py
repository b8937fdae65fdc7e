"""Run blocks of the pages that ``tests.snippets`` cannot run without other packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.snippets.page import find_blocks

PAGES = Path(__file__).resolve().parent.parent.parent / "docs" / "howto"


def find_code(page: str, text: str) -> str:
    """Return the code of the one block of a page that contains a text."""
    path = PAGES / f"{page}.rst"
    (block,) = [block for block in find_blocks(path) if text in block.code]
    # The line numbers of a traceback are then those of the page.
    return "\n" * (block.line - 1) + block.code


def run_block(page: str, text: str, namespace: dict[str, Any]) -> None:
    """Run the one block of a page that contains a text, as a part of a module."""
    path = PAGES / f"{page}.rst"
    code = compile(find_code(page, text), str(path), "exec", dont_inherit=True)
    exec(code, namespace)  # noqa: S102 - a block of our own documentation
