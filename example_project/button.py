"""The sandbox as the demo uses it, over HTTP."""

from __future__ import annotations

from typing import Any

import requests


class Button:
    """Ask the sandbox for its orders, and make it fail."""

    def __init__(self, url: str) -> None:
        self.url = f"{url}/sandbox"

    def orders(self) -> dict[str, dict[str, Any]]:
        orders: dict[str, dict[str, Any]]
        orders = requests.get(f"{self.url}/orders", timeout=10).json()
        return orders

    def has(self, *numbers: str) -> bool:
        return set(numbers) <= self.orders().keys()

    def misbehave(self, **options: Any) -> None:
        self.post("misbehave", options)

    def behave(self) -> None:
        self.post("clear", {})

    def finalize(self, number: str) -> None:
        """Accept no more changes of an order."""
        self.post(f"finalize/{number}", {})

    def post(self, what: str, options: dict[str, Any]) -> None:
        url = f"{self.url}/{what}"
        requests.post(url, json=options, timeout=10).raise_for_status()
