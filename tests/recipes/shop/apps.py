from __future__ import annotations

from django.apps import AppConfig

from tests.recipes.pages import run_block


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self):
        namespace = {"__name__": "shop.receivers"}
        run_block("dj-stripe", "def read_charge_again", namespace)
        # Signals hold their receivers by weak references.
        self.receivers = namespace
