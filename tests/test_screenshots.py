"""The screenshots in the documentation are used, and show what the admin shows now."""

from __future__ import annotations

import re

import pytest

from tests.browser.screenshots import (
    IMAGES,
    PAGES,
    ROOT,
    digest_of,
    find_texts,
    is_shown,
    read_record,
)

RENEW = "take the screenshots anew, and look at them: SCREENSHOTS=1 make test-browser"
USE = re.compile(r"images/([\w-]+)\.png")


def test_each_is_used_on_a_page():
    pages = [ROOT / "README.rst", *(ROOT / "docs").rglob("*.rst")]
    used = {name for page in pages for name in USE.findall(page.read_text())}

    assert used == set(PAGES) == {path.stem for path in IMAGES.glob("*.png")}
    assert set(read_record()) == used


@pytest.mark.parametrize("name", PAGES)
def test_files_are_as_they_were(name):
    assert read_record()[name]["files"] == digest_of(name), RENEW


@pytest.mark.parametrize("name", PAGES)
def test_texts_are_as_they_were(name):
    texts = set(read_record()[name]["texts"])

    assert texts
    assert not texts - find_texts(), RENEW


def test_texts_are_found():
    """Placeholders stand for anything. Short texts must be all of a line."""
    lines = ["RETRY", "Failed It was reported 2 minutes ago. Done.", "Dismiss…"]

    assert is_shown("Retry", lines)
    assert is_shown("Dismiss", lines)
    assert is_shown("It was reported %(when)s ago.", lines)
    assert not is_shown("Failed", lines)
    assert not is_shown("It was cancelled %(when)s ago.", lines)
    assert not is_shown("%(what)s.", lines)
    assert "Retry" in find_texts()
