from __future__ import annotations

import html
import json
import time
from urllib.parse import quote

from django.test import SimpleTestCase

from django_button_orders.client.redaction import (
    redact,
    redact_word,
    without_beginning_of,
)

SECRET = "sk-a/b+c&d<e>f'g\"h\\i"


def spellings():
    return (
        SECRET,
        quote(SECRET),
        quote(SECRET, safe="").lower(),
        html.escape(SECRET),
        "".join(f"&#{ord(character)};" for character in SECRET),
        "".join(f"&#x{ord(character):X};" for character in SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET)[1:-1].replace("/", r"\/"),
        "".join(f"\\u{ord(character):04X}" for character in SECRET),
    )


class RedactTests(SimpleTestCase):
    def test_however_it_is_spelled(self):
        for spelled in spellings():
            with self.subTest(spelled=spelled):
                assert redact(f"x {spelled} y", SECRET, "*") == "x * y"

    def test_something_else(self):
        for text in ("", "sk", SECRET[:-1], SECRET.upper()):
            with self.subTest(text=text):
                assert redact(text, SECRET, "*") == text

    def test_too_short_to_be_one(self):
        assert redact("test the testament", "test", "*") == "test the testament"
        assert redact_word("a test", "test", "*") == "a test"

    def test_word(self):
        assert redact_word("No u-4711, U-4711!", "u-4711", "*") == "No *, *!"
        assert redact_word("u-47112, xu-4711", "u-4711", "*") == "u-47112, xu-4711"

    def test_long_texts(self):
        start = time.monotonic()

        redact("sk-a/b+" * 100_000, SECRET, "*")

        assert time.monotonic() - start < 5

    def test_beginning_at_the_end(self):
        assert without_beginning_of("secret", "abc sec") == "abc "
        assert without_beginning_of("secret", "abc") == "abc"
        assert without_beginning_of("secret", "secret") == ""
        assert without_beginning_of("secret", "") == ""

    def test_beginning_at_the_end_however_it_is_spelled(self):
        for whole in spellings():
            for length in range(1, len(whole)):
                cut = f"x {whole[:length]}"
                with self.subTest(cut=cut):
                    assert without_beginning_of(SECRET, cut) == "x "

    def test_beginning_of_a_repetitive_secret(self):
        assert without_beginning_of("aaab", "b aaaa") == "b a"
        assert without_beginning_of("abab", "x aba") == "x "
