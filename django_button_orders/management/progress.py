"""Progress bars, on terminals alone."""

from __future__ import annotations

from typing import Any

from django.core.management.base import OutputWrapper
from tqdm import tqdm


class Terminal:
    """What tqdm writes to: Django would end and colour each of its lines."""

    def __init__(self, output: OutputWrapper) -> None:
        self.output = output

    def write(self, text: str) -> None:
        self.output.write(text, style_func=str, ending="")

    def flush(self) -> None:
        self.output.flush()

    def isatty(self) -> bool:
        return bool(self.output.isatty())


def progress_bar(
    output: OutputWrapper, title: str, total: int | None, *, unit: str = " orders"
) -> tqdm[Any]:
    """Return a bar with the rate and the time left, if somebody can see it."""
    return tqdm(
        desc=title,
        total=total,
        unit=unit,
        # Redrawn in place, or not at all: not in logs and pipes.
        disable=not output.isatty(),
        dynamic_ncols=True,
        file=Terminal(output),
    )
