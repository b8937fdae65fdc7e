"""Absolute links to our site and to our repository lead to files that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SITE = "https://django-button-orders.readthedocs.io/en/latest/"
REPOSITORY = "https://github.com/django-button-orders/django-button-orders"
IMAGES = "https://raw.githubusercontent.com/django-button-orders/django-button-orders"
PLACES = (
    (re.compile(re.escape(SITE) + r"([\w/-]+)\.html"), "docs/{}.rst"),
    (re.compile(re.escape(REPOSITORY) + r"/(?:blob|tree)/main/([\w./-]+)"), "{}"),
    (re.compile(re.escape(IMAGES) + r"/main/([\w./-]+)"), "{}"),
)
TEXTS = sorted(
    path
    for pattern in (
        "*.rst",
        "setup.cfg",
        "docs/**/*.rst",
        "example_project/*.rst",
        "django_button_orders/**/*.py",
        "django_button_orders/**/*.html",
    )
    for path in ROOT.glob(pattern)
)
# A link of reStructuredText to a file beside it, which PyPI would not find.
RELATIVE = re.compile(
    r"<(?!https?://|mailto:|#)([^>\s]+)>`__|^\.\. image:: (?!https://)"
)


def links(path: Path) -> list[str]:
    """Return the files that the absolute links of a text lead to."""
    text = path.read_text(encoding="utf-8")
    return [place.format(name) for link, place in PLACES for name in link.findall(text)]


def test_links_lead_to_files():
    found = {
        (str(path.relative_to(ROOT)), name) for path in TEXTS for name in links(path)
    }
    missing = {link for link in found if not (ROOT / link[1]).exists()}

    assert len(found) > 20
    assert not missing


def test_links_are_found():
    names = links(ROOT / "README.rst")

    assert "docs/tutorial/first-order.rst" in names
    assert "docs/images/list-1280-light.png" in names
    assert "example_project" in names


def test_links_of_the_readme_are_absolute():
    """PyPI shows it without the files beside it."""
    text = (ROOT / "README.rst").read_text(encoding="utf-8")

    assert not RELATIVE.findall(text)
