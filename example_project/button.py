"""Button, as the sandbox plays it for the demo."""

from __future__ import annotations

from typing import Any

import requests


class Button:
    """What it holds, and how it is told to fail."""

    def __init__(self, url: str) -> None:
        self.url = f"{url}/sandbox"

    def orders(self) -> dict[str, dict[str, Any]]:
        orders: dict[str, dict[str, Any]]
        orders = requests.get(f"{self.url}/orders", timeout=10).json()
        return orders

    def has(self, *numbers: str) -> bool:
        return set(numbers) <= self.orders().keys()

    def misbehave(self, **options: Any) -> None:
        self.tell("misbehave", options)

    def behave(self) -> None:
        self.tell("clear", {})

    def tell(self, what: str, options: dict[str, Any]) -> None:
        url = f"{self.url}/{what}"
        requests.post(url, json=options, timeout=10).raise_for_status()
