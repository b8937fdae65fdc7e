"""Remove secrets from texts that will be stored, also if characters are escaped."""

from __future__ import annotations

import re
from functools import lru_cache
from html.entities import codepoint2name
from urllib.parse import quote

# A shorter secret would be found inside ordinary words.
SHORTEST_SECRET = 5
# The length of an escaped character, such as "\\u0073" or "&thetasym;".
LONGEST_SPELLING = 10
# The characters with which an escaped character begins.
ESCAPES = ("\\", "%", "&")
# The end of a text, and what may be the first part of an escaped character.
CUT_SPELLING = re.compile(
    r"(?:\\(?:u[0-9a-f]{0,3})?|%[0-9a-f]?|&(?:#x?)?[0-9a-z]{0,8})?\Z", re.IGNORECASE
)


def redact(text: str, secret: str, replacement: str) -> str:
    """Replace a secret, as it is written in plain text, JSON, HTML and URLs."""
    if len(secret) < SHORTEST_SECRET or not text:
        return text
    if not any(character in text for character in ESCAPES):
        # The plain search is faster, and most answers have no escaped character.
        return text.replace(secret, replacement)
    return pattern_of(secret).sub(replacement, text)


def redact_word(text: str, secret: str, replacement: str) -> str:
    """Replace a secret where it is a whole word. It may also be a part of others."""
    if len(secret) < SHORTEST_SECRET or not text:
        return text
    word = rf"(?<!\w){pattern_of(secret).pattern}(?!\w)"
    return re.sub(word, replacement, text, flags=re.IGNORECASE)


@lru_cache(maxsize=512)
def pattern_of(secret: str) -> re.Pattern[str]:
    """Return a pattern for a text in which any character may be escaped."""
    return re.compile("".join(map(spellings_of, secret)))


def spellings_of(character: str) -> str:
    """Return a pattern for a character and its escapes."""
    code = ord(character)
    # Each spelling is there once: with two ways to match the same text, the work
    # for a near miss would double with every character.
    plain = {character}
    if not character.isascii():
        plain.add(quote(character, safe=""))
    if character in '"\\/':
        plain.add(f"\\{character}")
    if code in codepoint2name:
        plain.add(f"&{codepoint2name[code]};")
    # Hexadecimal escapes may have upper-case letters and leading zeros. The plain
    # character comes last, because an escape may begin with it.
    hexadecimal = f"{code:x}"
    forms = [rf"(?i:\\u0*{hexadecimal})", rf"(?i:%0*{hexadecimal})"]
    forms += [rf"(?i:&#0*{code};)", rf"(?i:&#x0*{hexadecimal};)"]
    forms += map(re.escape, sorted(plain, key=len, reverse=True))
    return f"(?:{'|'.join(forms)})"


def without_beginning_of(secret: str, text: str) -> str:
    """Return a text without its end, if a secret may begin there."""
    longest = len(secret) * LONGEST_SPELLING
    for start in range(max(0, len(text) - longest), len(text)):
        if begins(secret, text, start):
            return text[:start]
    return text


def begins(secret: str, text: str, position: int) -> bool:
    """Return whether a text, from a position to its end, may begin a secret."""
    for character in secret:
        if CUT_SPELLING.match(text, position):
            return True
        if not (spelled := pattern_of(character).match(text, position)):
            return False
        position = spelled.end()
    return position == len(text)
