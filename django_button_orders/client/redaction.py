"""Taking secrets out of texts that are going to be kept, however spelled there."""

from __future__ import annotations

import re
from functools import lru_cache
from html.entities import codepoint2name
from urllib.parse import quote

# A shorter text is no secret, and may stand in any word.
SHORTEST_SECRET = 5
# One character, as in "\\u0073" or "&thetasym;".
LONGEST_SPELLING = 10
# The end of a text, perhaps in the middle of a character's spelling.
CUT_SPELLING = re.compile(
    r"(?:\\(?:u[0-9a-f]{0,3})?|%[0-9a-f]?|&(?:#x?)?[0-9a-z]{0,8})?\Z", re.IGNORECASE
)


def redact(text: str, secret: str, replacement: str) -> str:
    """Replace a secret in plain text, JSON, HTML and URLs."""
    if len(secret) < SHORTEST_SECRET or not text:
        return text
    return pattern_of(secret).sub(replacement, text)


def redact_word(text: str, secret: str, replacement: str) -> str:
    """Replace a secret where it stands alone: it may be a common sequence."""
    if len(secret) < SHORTEST_SECRET or not text:
        return text
    word = rf"(?<!\w){pattern_of(secret).pattern}(?!\w)"
    return re.sub(word, replacement, text, flags=re.IGNORECASE)


@lru_cache(maxsize=512)
def pattern_of(secret: str) -> re.Pattern[str]:
    return re.compile("".join(map(spellings_of, secret)))


def spellings_of(character: str) -> str:
    code = ord(character)
    # Each spelling once: two ways to the same text would double the work of a
    # near miss with every character.
    plain = {character}
    if not character.isascii():
        plain.add(quote(character, safe=""))
    if character in '"\\/':
        plain.add(f"\\{character}")
    if code in codepoint2name:
        plain.add(f"&{codepoint2name[code]};")
    # In any case, and with any number of zeros: what escapes in hexadecimal. The
    # sign itself comes last: it may begin its own escape.
    hexadecimal = f"{code:x}"
    forms = [rf"(?i:\\u0*{hexadecimal})", rf"(?i:%0*{hexadecimal})"]
    forms += [rf"(?i:&#0*{code};)", rf"(?i:&#x0*{hexadecimal};)"]
    forms += map(re.escape, sorted(plain, key=len, reverse=True))
    return f"(?:{'|'.join(forms)})"


def without_beginning_of(secret: str, text: str) -> str:
    """Return a text without what may be the first part of a secret at its end."""
    longest = len(secret) * LONGEST_SPELLING
    for start in range(max(0, len(text) - longest), len(text)):
        if begins(secret, text, start):
            return text[:start]
    return text


def begins(secret: str, text: str, position: int) -> bool:
    """Return whether all of a text from a position on begins a secret."""
    for character in secret:
        if CUT_SPELLING.match(text, position):
            return True
        if not (spelled := pattern_of(character).match(text, position)):
            return False
        position = spelled.end()
    return position == len(text)
