"""
The screenshots in the documentation, and how to know that one is too old.

``SCREENSHOTS=1 make test-browser`` takes them. Beside them, ``images.json`` then has,
for each screenshot, a digest of the templates and style sheets of its page, and those
texts of the package that the page showed. A screenshot is too old once one of the files
has changed, or one of the texts is no longer in the package.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "django_button_orders"
IMAGES = ROOT / "docs" / "images"
RECORD = IMAGES / "images.json"
ADMIN = "templates/admin/django_button_orders"
# The files of each screenshot's page, besides those of all pages.
PAGES = {
    "list-1280-light": (
        f"{ADMIN}/buttonorder/actions.html",
        f"{ADMIN}/buttonorder/change_list*.html",
        f"{ADMIN}/buttonorder/chart.html",
        f"{ADMIN}/buttonorder/pagination.html",
        f"{ADMIN}/buttonorder/panel.html",
        f"{ADMIN}/*.html",
    ),
    "order-1280-light": (
        f"{ADMIN}/buttonorder/call.html",
        f"{ADMIN}/buttonorder/change_form.html",
        f"{ADMIN}/buttonorder/earnings.html",
        f"{ADMIN}/buttonorder/history.html",
        f"{ADMIN}/buttonorder/internals.html",
        f"{ADMIN}/buttonorder/line_items*.html",
        f"{ADMIN}/buttonorder/preview.html",
        f"{ADMIN}/buttonorder/standing.html",
        f"{ADMIN}/buttonorder/view_of_button.html",
        "static/django_button_orders/copy.js",
    ),
    "host-1280-light": (f"{ADMIN}/host/*.html",),
}
ALL_PAGES = (f"{ADMIN}/includes/*.html", "static/django_button_orders/*.css")

GETTEXT = re.compile(r"_|n?p?gettext(_lazy)?")
CONTEXT = re.compile(r"n?pgettext(_lazy)?")
TRANSLATE = re.compile(r"""\{%\s*trans(?:late)?\s+(["'])(.*?)\1""")
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%%")
# A text with fewer letters, besides its placeholders, may be shown by chance.
SHORTEST = 12


def digest_of(name: str) -> str:
    """Return the digest of the files of a screenshot's page, without blank space."""
    digest = hashlib.sha256()
    patterns = (*ALL_PAGES, *PAGES[name])
    for path in sorted({path for item in patterns for path in PACKAGE.glob(item)}):
        words = " ".join(path.read_text().split())
        digest.update(f"{path.relative_to(PACKAGE)}\n{words}\n".encode())
    return digest.hexdigest()


def find_texts() -> set[str]:
    """Return the translatable texts of the package, as the source has them."""
    texts = set()
    for path in PACKAGE.rglob("*.py"):
        texts.update(texts_of(ast.parse(path.read_text())))
    for path in PACKAGE.rglob("*.html"):
        texts.update(text for _, text in TRANSLATE.findall(path.read_text()))
    return texts


def texts_of(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if GETTEXT.fullmatch(name):
            start = 1 if CONTEXT.fullmatch(name) else 0
            for argument in node.args[start:]:
                if isinstance(argument, ast.Constant) and argument.value:
                    yield str(argument.value)


def shown_texts(page: str) -> list[str]:
    """Return the texts of the package that the text of a page has."""
    lines = {" ".join(line.split()) for line in re.split(r"[\n\t]", page)}
    return sorted(text for text in find_texts() if is_shown(text, lines))


def is_shown(text: str, lines: Iterable[str]) -> bool:
    """Return whether a text is one of some lines, or a long one is in a line."""
    text = " ".join(text.split())
    words = "".join(PLACEHOLDER.split(text))
    parts = [re.escape(part) for part in PLACEHOLDER.split(text)]
    # Style sheets may show a text in capitals.
    pattern = re.compile(".{1,300}?".join(parts), re.IGNORECASE)
    if len(words) >= SHORTEST:
        return any(map(pattern.search, lines))
    # The admin adds a colon to labels, and buttons that ask have three points.
    is_whole = words == text
    return is_whole and any(pattern.fullmatch(line.rstrip(":…")) for line in lines)


def read_record() -> dict[str, dict[str, Any]]:
    record: dict[str, dict[str, Any]] = json.loads(RECORD.read_text())
    return record


def record(name: str, page: str) -> None:
    """Record what a screenshot shows, when it is taken."""
    known = read_record() if RECORD.exists() else {}
    known[name] = {"files": digest_of(name), "texts": shown_texts(page)}
    kept = {item: known[item] for item in sorted(known) if item in PAGES}
    RECORD.write_text(f"{json.dumps(kept, indent=1)}\n")
