from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from shop.models import Product

PRODUCTS = [
    ("MUG-1", "Mug", "Kitchen", "15.00"),
    ("TEA-9", "Green tea", "Food", "24.00"),
    ("POT-2", "Teapot", "Kitchen", "48.50"),
    ("CUP-4", "Four cups", "Kitchen", "32.95"),
]


class Command(BaseCommand):
    help = "Puts some products on the shelves, unless they are there."

    def handle(self, **options: Any) -> None:
        for sku, name, category, price in PRODUCTS:
            Product.objects.get_or_create(
                sku=sku, defaults={"name": name, "category": category, "price": price}
            )
        self.stdout.write(f"{Product.objects.count()} products.")
