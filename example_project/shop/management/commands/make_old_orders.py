from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.utils import timezone

from shop.models import Order, OrderLine, Product


class Command(BaseCommand):
    help = "Makes paid orders of last year, in bulk, so that nothing notices them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("count", type=int)

    @transaction.atomic
    def handle(self, *, count: int, **options: Any) -> None:
        products = list(Product.objects.all())
        start = timezone.now() - timedelta(days=365)
        orders = Order.objects.bulk_create(
            Order(
                number=f"OLD-{number:05}",
                status=Order.Status.PAID,
                email=f"customer{number}@example.com",
                placed_at=start + timedelta(hours=number),
            )
            for number in range(1, count + 1)
        )
        OrderLine.objects.bulk_create(
            OrderLine(
                order=order,
                product=products[number % len(products)],
                quantity=1 + number % 3,
                unit_price=products[number % len(products)].price,
            )
            for number, order in enumerate(orders)
        )
        self.stdout.write(f"{count} old orders.")
