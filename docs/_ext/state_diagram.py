"""
The states of a Button order as a drawing, and in words, from the code's own rules.

The results of attempts come from ``delivery.outcome.STATUSES``, and the moves from the
UPDATE statements of ``models.querysets``, which are caught before they run. So the
drawing needs no Graphviz, no database and no script in the browser.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import Any, NamedTuple

from django.db.models.sql.where import WhereNode

from django_button_orders.delivery import outcome, verdicts
from django_button_orders.models.orders import ButtonOrder, ButtonOrderQuerySet
from django_button_orders.models.states import Status
from django_button_orders.operations.orders import ACTIONS

CHANGE = "change"
# How the drawing calls what leads from one status to another.
MOVE_WORDS = {
    CHANGE: "order changed",
    "retry": "retry",
    "overwrite": "report over it",
    "cancel": "cancel",
    "dismiss": "dismiss",
}
# These actions change no status by themselves.
ERASING = {"erase", "erase_and_tell"}
RESULT_WORDS = {
    "reported": "Button has it",
    "cancelled": "cancelled",
    "closed": "too late",
    "failed": "needs attention",
    "dismissed": "no token",
}


class Edge(NamedTuple):
    """One way from a status to another: by an attempt's result, or by a move."""

    source: str
    target: str
    name: str
    is_move: bool


# What the code says


class CaughtError(Exception):
    """Carries what an UPDATE would have changed."""


class Catcher(ButtonOrderQuerySet):
    """A queryset whose UPDATE is caught."""

    def update(self, **values: Any) -> int:
        raise CaughtError(statuses_in(self.query.where), str(values["status"]))


def statuses_in(where: WhereNode) -> set[str]:
    """Return the statuses that a condition lets through."""
    allowed = {str(status) for status in Status}
    for child in where.children:
        if isinstance(child, WhereNode):
            allowed &= statuses_in(child)
        elif child.lhs.target.name == "status":
            rhs = child.rhs
            allowed &= {rhs} if isinstance(rhs, str) else set(map(str, rhs))
    return {str(status) for status in Status} - allowed if where.negated else allowed


def moves() -> Iterator[Edge]:
    """Yield what a change of the order, or an operator, does to each status."""
    updates = {CHANGE: ButtonOrderQuerySet.mark_changed}
    updates |= {
        name: spec.update for name, spec in ACTIONS.items() if name not in ERASING
    }
    for name, update in updates.items():
        try:
            update(Catcher(ButtonOrder))
        except CaughtError as caught:
            sources, target = caught.args
        for status in Status:
            if status in sources:
                yield Edge(str(status), target, name, is_move=True)


def results() -> Iterator[Edge]:
    """Yield what an attempt makes of a pending order."""
    for result in verdicts.Result:
        status = outcome.STATUSES.get(result, Status.PENDING)
        yield Edge("pending", str(status), result.value, is_move=False)


def edges() -> list[Edge]:
    return [*results(), *moves()]


# In words


def in_words() -> list[str]:
    """Return the edges as a list, for who does not see the drawing."""
    lines: list[str] = []
    for status in Status:
        ways = [edge for edge in edges() if edge.source == status != edge.target]
        named = [f"{words(edge)} (to {edge.target})" for edge in ways]
        lines += [f"* From **{status}**: {'; '.join(named) or 'nowhere'}."]
    return lines


def words(edge: Edge) -> str:
    return (MOVE_WORDS if edge.is_move else RESULT_WORDS)[edge.name]


# The drawing. It is narrow, so that a phone shows it without scrolling.

WIDTH, ROW, BOX, PENDING, RIGHT = 420, 112, 44, 112, 308
SETTLED = [status for status in Status if status != Status.PENDING]
HEIGHT = ROW * len(SETTLED)
PARTS = ("due", "in flight", "waiting")
MARKER = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
    'markerHeight="7" orient="auto-start-reverse"><path d="M0 0 8 4 0 8z"/></marker>'
    "</defs>"
)


def draw() -> str:
    """Return the drawing as SVG, which takes its colours from the site's style."""
    parts = [MARKER, *pending_box()]
    for at, status in enumerate(SETTLED):
        parts += settled_box(at, str(status))
    parts += between_settled()
    return (
        f'<svg class="states" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="The states of a Button order; the list below says the same.">'
        f"{''.join(parts)}</svg>"
    )


def pending_box() -> Iterator[str]:
    yield rectangle(2, 2, PENDING, HEIGHT - 4, "status")
    yield text(2 + PENDING / 2, 24, ["pending"], "name")
    gap = (HEIGHT - 40) / len(PARTS)
    for at, name in enumerate(PARTS):
        top = 48 + at * gap
        yield rectangle(14, top, PENDING - 24, 34, "part")
        yield text(2 + PENDING / 2, top + 22, [name], "")
        if at:
            yield arrow(2 + PENDING / 2, top - gap + 34, 2 + PENDING / 2, top)
    middle = 48 + gap / 2 + 17
    yield text(2 + PENDING / 2, middle, ["a worker claims it"], "label part-label")
    yield text(2 + PENDING / 2, middle + gap, ["retry, or pause"], "label part-label")
    bottom = 48 + 2 * gap + 34
    yield text(
        2 + PENDING / 2, bottom + 18, ["due again when", "its time comes"], "label"
    )


def settled_box(at: int, status: str) -> Iterator[str]:
    top = at * ROW + (ROW - BOX) / 2
    right = WIDTH - 2
    yield rectangle(RIGHT, top, right - RIGHT, BOX, "status")
    yield text((RIGHT + right) / 2, top + BOX / 2 + 5, [status], "name")
    middle = (2 + PENDING + RIGHT) / 2
    there = [words(edge) for edge in edges() if is_way(edge, "pending", status)]
    if there:
        yield arrow(2 + PENDING, top + 12, RIGHT, top + 12)
        yield text(middle, top + 6, there, "label", rises=True)
    back = [words(edge) for edge in edges() if is_way(edge, status, "pending")]
    if back:
        yield arrow(RIGHT, top + BOX - 12, 2 + PENDING, top + BOX - 12)
        yield text(middle, top + BOX + 2, in_lines(back), "label")


def between_settled() -> Iterator[str]:
    """Draw the ways between two boxes on the right, which have to be neighbours."""
    for edge in edges():
        if "pending" in (edge.source, edge.target):
            continue
        source, target = SETTLED.index(edge.source), SETTLED.index(edge.target)
        assert target == source + 1, edge  # noqa: S101 - or else the drawing is wrong
        x = (RIGHT + WIDTH - 2) / 2
        top = source * ROW + (ROW + BOX) / 2
        yield arrow(x, top, x, top + ROW - BOX)
        yield text(x - 6, top + (ROW - BOX) / 2 + 4, [words(edge)], "label to-the-left")


def is_way(edge: Edge, source: str, target: str) -> bool:
    return (edge.source, edge.target) == (source, target)


def in_lines(names: list[str]) -> list[str]:
    """Return names in lines of two, as they fit between the boxes."""
    named = [*(f"{name}, " for name in names[:-1]), names[-1]]
    return ["".join(named[at : at + 2]) for at in range(0, len(named), 2)]


def rectangle(x: float, y: float, width: float, height: float, kind: str) -> str:
    return (
        f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" '
        f'height="{height:g}" rx="6"/>'
    )


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" '
        'marker-end="url(#head)"/>'
    )


def text(
    x: float, y: float, lines: Iterable[str], kind: str, *, rises: bool = False
) -> str:
    """Return centred lines of text, the first at ``y``, or the last if it rises."""
    found = list(lines)
    start = y - 13 * (len(found) - 1) if rises else y + (8 if kind == "label" else 0)
    spans = "".join(
        f'<tspan x="{x:g}" y="{start + 13 * at:g}">{escape(line)}</tspan>'
        for at, line in enumerate(found)
    )
    return f'<text class="{kind}">{spans}</text>'
