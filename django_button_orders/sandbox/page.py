"""The HTML page at ``/sandbox``: orders and requests, newest first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import quote

from django_button_orders.sandbox.wire import ReceivedRequest

SHOWN = 100
SHOWN_CHARACTERS = 4000

# The empty icon keeps browsers from asking for /favicon.ico, which would be recorded
# as a request to the API.
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>Button sandbox</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }}
section {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ border-bottom: 1px solid #8884; padding: .3rem .6rem; text-align: left;
  vertical-align: top; overflow-wrap: break-word; max-width: 20rem; }}
pre {{ margin: 0; max-width: 40rem; white-space: pre-wrap; overflow-wrap: anywhere; }}
</style>
</head>
<body>
<h1>Button sandbox</h1>
<p>A local stand-in for Button at {url}. It has {orders} and received {requests}.
This page lists up to {shown} of each, the newest first.
<a href="/sandbox">Reload</a></p>
<section>
<h2>Orders</h2>
{finalize_all}
<table>
{order_rows}
</table>
</section>
<section>
<h2>Requests</h2>
<table>
{request_rows}
</table>
</section>
</body>
</html>
"""
ORDER_HEADINGS = (
    "Order",
    "Status",
    "Total in minor units",
    "Currency",
    "Attribution token",
    "Purchased",
    "Lines",
    "Can be changed until",
    "Button's order ID",
    "Change window",
)
REQUEST_HEADINGS = ("Time", "Request", "Answer", "Body", "Answer's body")


class Markup(str):
    """A string that ``html()`` does not escape, because it is HTML already."""

    __slots__ = ()


def render_page(
    url: str,
    orders: Mapping[str, Mapping[str, Any]],
    requests: list[ReceivedRequest],
    token: str,
) -> str:
    """Return the whole page as HTML. Its forms send the ``token``."""
    latest_orders = list(orders.values())[-SHOWN:][::-1]
    latest_requests = requests[-SHOWN:][::-1]
    page = PAGE.format(
        url=html(url),
        orders=counted(len(orders), "order"),
        requests=counted(len(requests), "request"),
        shown=SHOWN,
        finalize_all=form("finalize-all", "Finalize all orders", token),
        order_rows=table(
            ORDER_HEADINGS, (order_cells(order, token) for order in latest_orders)
        ),
        request_rows=table(REQUEST_HEADINGS, map(request_cells, latest_requests)),
    )
    # JSON can spell half of a surrogate pair, which UTF-8 cannot encode.
    return page.encode(errors="replace").decode()


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def order_cells(order: Mapping[str, Any], token: str) -> list[object]:
    path = quote(order["order_id"], safe="", errors="replace")
    forms = {
        "open": form(f"finalize/{path}", "Finalize", token),
        "finalized": form(f"reopen/{path}", "Reopen", token),
    }
    return [
        order["order_id"],
        order["status"],
        order["total"],
        order["currency"],
        order["btn_ref"] or "",
        order["purchase_date"],
        len(order["line_items"]),
        order["finalization_date"],
        order["button_order_id"],
        forms.get(order["status"], ""),
    ]


def form(action: str, label: str, token: str) -> Markup:
    """Return a button that sends a POST to the sandbox."""
    return Markup(
        f'<form method="post" action="/sandbox/{html(action)}">'
        f'<input type="hidden" name="token" value="{html(token)}">'
        f"<button>{html(label)}</button></form>"
    )


def request_cells(request: ReceivedRequest) -> list[object]:
    time = datetime.fromtimestamp(request.at).astimezone()
    body = request.raw_body.decode(errors="replace")
    if request.body is not None:
        body = json.dumps(request.body, indent=1, ensure_ascii=False)
    return [
        time.strftime("%H:%M:%S"),
        f"{request.method} {request.path}",
        "connection dropped" if request.status is None else request.status,
        details(body),
        details(request.answer),
    ]


def details(text: str) -> Markup:
    """Return a text in an element that a reader opens. Cuts long texts."""
    if not text:
        return Markup()
    if len(text) > SHOWN_CHARACTERS:
        text = f"{text[:SHOWN_CHARACTERS]} …"
    return Markup(f"<details><summary>show</summary><pre>{html(text)}</pre></details>")


def table(headings: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    return "\n".join([row("th", headings), *(row("td", cells) for cells in rows)])


def row(tag: str, cells: Iterable[object]) -> str:
    return f"<tr>{''.join(f'<{tag}>{html(cell)}</{tag}>' for cell in cells)}</tr>"


def html(value: object) -> str:
    """Return a value as HTML, escaped unless it is ``Markup``."""
    return value if isinstance(value, Markup) else escape(str(value))
