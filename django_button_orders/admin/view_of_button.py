"""
Show what Button holds in another way than the shop: the section below the report.

It comes from the submission that recorded Button's last answer to a question.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.utils.translation import gettext_lazy as _

from django_button_orders.admin.ask import summarize_answer
from django_button_orders.admin.compare import SEPARATOR, Line, format_value, show
from django_button_orders.admin.formatting import format_ago
from django_button_orders.admin.preview import Preview
from django_button_orders.models import ButtonOrder, Submission
from django_button_orders.monitoring.explain.evidence import shown_order, token_in
from django_button_orders.reconcile import values
from django_button_orders.reconcile.values import LINES, Path, Values

PRUNED = _("Button's answer was pruned. Ask again.")
TOKEN = "btn_ref"  # noqa: S105 - the name of a field
DECIMAL = "total_as_decimal"
# An order may have a thousand line items.
MAX_DIFFERENCES = 100


@dataclass(frozen=True, kw_only=True)
class ButtonView:
    """
    Button's last answer about an order, compared with our payload.

    ``unshown`` are the names of the fields that we report and Button does not show.
    ``is_comparable`` is false without a payload, or without an order in the answer.
    """

    asked: str
    sentence: str
    is_outdated: bool
    is_comparable: bool
    differences: list[Line]
    unshown: str

    @property
    def lines(self) -> list[Line]:
        return self.differences[:MAX_DIFFERENCES]

    @property
    def left_out(self) -> int:
        return len(self.differences) - len(self.lines)


def button_view(order: ButtonOrder, ours: Preview) -> ButtonView | None:
    """Return Button's view beside ours, or None if Button was never asked."""
    submissions = Submission.objects.using(order._state.db).filter(button_order=order)
    latest = submissions.order_by("-started_at", "-pk")
    asked = latest.filter(operation=Submission.Operation.RETRIEVE).first()
    if asked is None:
        return None
    theirs = shown_order(asked)
    is_pruned = asked.status_code == HTTPStatus.OK and not asked.response_body
    sentence = PRUNED if is_pruned else summarize_answer(asked, order)[0]
    known = ours.full_payload or ours.acknowledged.payload or {}
    is_comparable = bool(known and theirs)
    return ButtonView(
        asked=format_ago(asked.started_at),
        sentence=str(sentence),
        is_outdated=latest.values_list("pk", flat=True).first() != asked.pk,
        is_comparable=is_comparable,
        differences=find_differences(
            known, theirs, total_as_decimal=ours.total_as_decimal
        )
        if is_comparable
        else [],
        unshown=", ".join(sorted(known.keys() - theirs.keys())) if theirs else "",
    )


def find_differences(
    ours: dict[str, Any], theirs: dict[str, Any], *, total_as_decimal: bool
) -> list[Line]:
    """
    Return what Button holds in another way than our payload has it.

    Button need not show all that it was sent, so a value that it does not show is no
    difference. Nor is another way to write a number, a date or a currency.
    """
    shown = values.flatten(theirs)
    known = values.as_button_shows(ours, shown, total_as_decimal=total_as_decimal)
    if (DECIMAL,) in known:
        # Then an integer of Button's stands for no cents, either.
        theirs = {**theirs, DECIMAL: True}
    paths = values.find_certain_differences(known, shown)
    # Lines that are on one side only make their number differ, and the token is below.
    told = [path for path in paths if path not in ((LINES,), (TOKEN,))]
    # The total comes before two hundred line items.
    told.sort(key=lambda path: path[0] == LINES)
    lines = [
        Line(
            name=SEPARATOR.join(path),
            before=text_at(path, ours, known),
            after=text_at(path, theirs, shown),
            is_same=False,
        )
        for path in told
    ]
    return [*find_token_difference(ours, theirs), *lines]


def text_at(path: Path, payload: dict[str, Any], known: Values) -> str | None:
    """Return the text of a value, or None on a side that does not have it."""
    if path not in known:
        return None
    value = known[path]
    if path[0] == LINES and len(path) == 2:
        value = next(
            line for line in payload[LINES] if str(line["identifier"]) == path[1]
        )
    return show(payload, path[-1], value)


def find_token_difference(ours: dict[str, Any], theirs: dict[str, Any]) -> list[Line]:
    """Return the line about the token, if Button shows another token or none."""
    token, tied = ours.get(TOKEN) or "", token_in(theirs)
    if tied is None or tied == token:
        return []
    before, after = (format_value(item) if item else None for item in (token, tied))
    return [Line(name=TOKEN, before=before, after=after, is_same=False)]
