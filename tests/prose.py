"""
Find long sentences, and words that a reader has to read twice.

``python tests/prose.py FILE...`` prints the problems of reST files, as
``tests.test_prose`` does.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# The number of words in a sentence, without literals.
MAX_WORDS = 25

# Patterns, and what to write instead.
EVERYWHERE = {
    r"of (its|their|his|her|our|your|my) own": "its, for it, or nothing",
    r"of (theirs|ours|yours)": "their, our, or nothing",
    r"so (many|much|long)": "a number, a name or a unit",
    r"(who|what|which|wher)(so)?ever": "any, each, if, or the noun",
    r"however (few|long|many|much|old|large)": "the number",
    r"ever(?! since)": "the condition of the promise",
    r"(is|are) no (error|mistake|problem|harm)": "is allowed",
    r"(does|do|did) no harm": "is safe",
    r"(try|tries|tried|trying) (it |them )?again": "retry",
    r"by (itself|themselves)": "automatically",
    r"(makes?|made|making) (a|an|the) (new )?(API )?keys?": "create",
    r"needs? (a person|people|somebody)": "needs attention",
    r"(leave|leaves|left|leaving) (it |them )?alone": "skip, ignore",
    r"(stood|stands?) in the way": "the cause",
    r"in the same letters": "exact, case-sensitive match",
    r"(tell|tells|told) (it|them|these|those)? ?apart": "distinguish",
    r"(see|sees|seeing|seen) to (it|them|that|this)": "the verb of what is done",
    r"all the same": "still",
    r"unseen": "not reported",
    r"ought|lest|hence|thus|thereby|whereby|whilst": "a plain word",
    r"also if": "even if",
    r"needs? not": "does not need to",
    r"replaces? [^.,:;]{1,60} by": "with",
    r"as any other": "like any other",
    r"as (fast|quickly|soon) as (it |they |you )?(can|may|possible)": "a number",
}
# Readers of pages for users know Button orders, and not our tables.
FOR_USERS = {
    r"rows?": "Button order",
    r"the bell|doorbells?|rings?": "notifies a worker, or the setting DOORBELL",
}
# A paragraph with one of these words may be about rows of another kind.
OTHER_ROWS = re.compile(
    r"\b(CSV|cells?|columns?|databases?|files?|headers?|PostgreSQL|SQL|tables?)\b",
    re.IGNORECASE,
)
# The pages for readers who do, and those about files with rows.
INTERNAL = {"explanation", "reference", "CONTRIBUTING.rst", "glossary.rst"}
WITH_ROWS = {"backfill.rst", "batch-files.rst"}
# A statement that opens with one of these has its subject too late.
OPENING = re.compile(r"(What|Whoever|Of|Where) .*[.:]$", re.DOTALL)

ABBREVIATION = re.compile(r"\b(e\.g|i\.e|etc|vs|cf|approx)\.")
SENTENCE_END = re.compile(r"(?<=[.!?])[\"”')*]*\s+(?=[\"“'(*]*[A-Z0-9`])")
LITERAL = re.compile(r"``.+?``")
ROLE = re.compile(r":[a-z:+.-]+:`(?P<text>[^`]*)`")
LINK = re.compile(r"`(?P<text>[^`<]+?)\s*(<[^`>]*>)?`_{0,2}")
# The directives whose content is prose. That of others is skipped.
PROSE = {
    *("admonition", "attention", "caution", "danger", "deprecated", "dropdown"),
    *("glossary", "hint", "important", "list-table", "note", "seealso", "tip", "topic"),
    *("versionadded", "versionchanged", "warning"),
}
DIRECTIVE = re.compile(r"\.\. (?P<name>[\w:-]+)::")
COMMENT = re.compile(r"\.\.(\s|$)")
BULLET = re.compile(r"([*+-]|\d+\.|#\.) +")
FIELD = re.compile(r":[^:`]+:(\s|$)")
NO_SENTENCE = re.compile(r"([=\-~^\"'`#*+.])\1{2,}\s*$|\+--|\| |={3,} +=")


class Problem(NamedTuple):
    line: int
    text: str
    fix: str

    def __str__(self) -> str:
        return f"{self.line}: {self.text!r}: {self.fix}"


class Line(NamedTuple):
    number: int
    indent: int
    text: str


def find_problems(
    text: str, line: int = 0, *, for_users: bool = True
) -> Iterator[Problem]:
    """Yield the problems of one paragraph, or of one message."""
    text = without_markup(text)
    patterns = EVERYWHERE
    if for_users and not OTHER_ROWS.search(text):
        patterns = EVERYWHERE | FOR_USERS
    for pattern, fix in patterns.items():
        for found in re.finditer(rf"\b({pattern})\b", text, re.IGNORECASE):
            around = text[max(found.start() - 30, 0) : found.end() + 30]
            yield Problem(line, around.strip(), fix)
    for sentence in sentences_in(text):
        words = [word for word in sentence.split() if is_word(word)]
        if len(words) > MAX_WORDS:
            yield Problem(line, sentence, f"{len(words)} words: split the sentence")
        if OPENING.match(sentence):
            yield Problem(line, sentence[:60], "begin with the subject")


def is_word(text: str) -> bool:
    """Return whether a text is a word that counts. Literals, as in lists, do not."""
    return re.sub(r"\W", "", text) not in ("", "X")


def without_markup(text: str) -> str:
    """Return a text of reST without its markup. A literal becomes "X"."""
    text = LITERAL.sub("X", text)
    text = ROLE.sub(title_of, text)
    text = LINK.sub(lambda found: found["text"], text)
    return text.replace("*", "")


def title_of(role: re.Match[str]) -> str:
    """Return the text of a link. One without a text shows the title of a page."""
    text, _, target = role["text"].partition(" <")
    return text if target else "X"


def sentences_in(text: str) -> list[str]:
    text = ABBREVIATION.sub(lambda found: found[0][:-1], " ".join(text.split()))
    return [part for part in SENTENCE_END.split(text) if part]


def check_page(path: Path) -> list[Problem]:
    """Return the problems of a reST page."""
    for_users = not (INTERNAL | WITH_ROWS) & set(path.parts)
    return [
        problem
        for number, text in paragraphs_of(path.read_text(encoding="utf-8"))
        for problem in find_problems(text, number, for_users=for_users)
    ]


def paragraphs_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs of a reST source, each with the number of its first line."""
    paragraph: list[Line] = []
    for line in prose_lines(source):
        is_next = not line.text or BULLET.match(line.text)
        if paragraph and (is_next or line.indent != paragraph[-1].indent):
            if not any(NO_SENTENCE.match(item.text) for item in paragraph):
                yield paragraph[0].number, " ".join(item.text for item in paragraph)
            paragraph = []
        if line.text:
            paragraph.append(without_bullets(line))


def without_bullets(line: Line) -> Line:
    while found := BULLET.match(line.text):
        width = found.end()
        line = Line(line.number, line.indent + width, line.text[width:])
    return line


def prose_lines(source: str) -> Iterator[Line]:
    """Yield lines without code, comments and options. Empty ones end paragraphs."""
    skipped: int | None = None
    for line in lines_of(source):
        if skipped is not None and (not line.text or line.indent > skipped):
            continue
        skipped = None
        directive = DIRECTIVE.match(line.text)
        if directive or COMMENT.match(line.text):
            is_prose = directive is not None and directive["name"] in PROSE
            skipped = None if is_prose else line.indent
        if directive or skipped is not None or FIELD.match(line.text):
            yield line._replace(text="")
            continue
        yield line
        if line.text.endswith("::"):
            skipped = without_bullets(line).indent if line.text == "::" else line.indent
            yield line._replace(text="")
    yield Line(0, 0, "")


def lines_of(source: str) -> Iterator[Line]:
    for number, line in enumerate(source.split("\n"), start=1):
        text = line.strip()
        yield Line(number, len(line) - len(line.lstrip()), text)


def main() -> int:
    found = {name: check_page(Path(name)) for name in sys.argv[1:]}
    for name, problems in found.items():
        for problem in problems:
            sys.stdout.write(f"{name}:{problem}\n")
    count = sum(map(len, found.values()))
    sys.stdout.write(f"{count} problems\n")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
