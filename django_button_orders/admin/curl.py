"""A call to Button as a command for a shell, without the key."""

from __future__ import annotations

from shlex import quote

from django_button_orders.client.api import ButtonClient, Request

# What curl does by itself, and what is secret.
LEFT_OUT = ("Authorization", "Accept-Encoding", "User-Agent")


def as_curl(client: ButtonClient, request: Request) -> str:
    """Return a command that makes a call, with the key from the environment."""
    headers = {
        name: value for name, value in client.headers().items() if name not in LEFT_OUT
    }
    parts = ["curl", f"-X {request.method}", '-u "$BUTTON_API_KEY:"']
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    parts += [f"-H {quote(f'{name}: {value}')}" for name, value in headers.items()]
    if request.body is not None:
        parts.append(f"--data-raw {quote(request.body.decode())}")
    parts.append(quote(client.url(request)))
    return " \\\n  ".join(parts)
