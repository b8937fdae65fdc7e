"""What the sandbox holds, as a page for people."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from django_button_orders.sandbox.store import ReceivedRequest, Store

SHOWN = 100

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Button sandbox</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }}
div {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ border-bottom: 1px solid #8884; padding: .3rem .6rem; text-align: left;
  vertical-align: top; }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
pre {{ margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }}
</style>
<h1>Button sandbox</h1>
<p>A local Button at {url}: {orders} orders, {requests} requests.
Reload the page to see more.</p>
<h2>Orders</h2>
<div><table><tr><th>Order<th>Status<th>Total<th>Currency<th>Token<th>Lines</tr>
{order_rows}</table></div>
<h2>Requests</h2>
<div><table><tr><th>Request<th>Answer<th>Body</tr>
{request_rows}</table></div>
</html>
"""


def render_page(url: str, store: Store) -> str:
    """Return the page. Whatever came over the wire is escaped."""
    with store.lock:
        orders = list(store.orders.values())[-SHOWN:][::-1]
        requests = store.requests[-SHOWN:][::-1]
        counts = len(store.orders), len(store.requests)
    return PAGE.format(
        url=escape(url),
        orders=counts[0],
        requests=counts[1],
        order_rows="".join(map(order_row, orders)),
        request_rows="".join(map(request_row, requests)),
    )


def order_row(order: dict[str, Any]) -> str:
    return (
        f"<tr><td>{text(order['order_id'])}<td>{text(order['status'])}"
        f'<td class="n">{text(order["total"])}<td>{text(order["currency"])}'
        f"<td>{text(order['btn_ref'] or '')}<td>{len(order['line_items'])}</tr>\n"
    )


def request_row(request: ReceivedRequest) -> str:
    answer = "connection dropped" if request.status is None else request.status
    body = "" if request.body is None else json.dumps(request.body, indent=1)
    return (
        f"<tr><td>{text(request.method)} {text(request.path)}<td>{text(answer)}"
        f"<td><pre>{text(body)}</pre></tr>\n"
    )


def text(value: object) -> str:
    return escape(str(value))
