"""A small shop: products, orders, and their lines."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.utils import timezone


class Product(models.Model):
    sku = models.CharField("SKU", max_length=20, unique=True)
    name = models.CharField(max_length=100)
    category = models.CharField(max_length=100)
    price = models.DecimalField(max_digits=8, decimal_places=2)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    class Status(models.TextChoices):
        PLACED = "placed"
        PAID = "paid"
        CANCELLED = "cancelled"

    number = models.CharField(max_length=20, unique=True)
    status = models.CharField(
        max_length=9, choices=Status.choices, default=Status.PLACED
    )
    email = models.EmailField()
    currency = models.CharField(max_length=3, default="USD")
    placed_at = models.DateTimeField(default=timezone.now)
    # The attribution token that the visitor had at the checkout.
    btn_ref = models.CharField(max_length=255, blank=True)

    class Meta:
        ordering = ["-placed_at", "-pk"]

    def __str__(self) -> str:
        return self.number

    @property
    def total(self) -> Decimal:
        return sum((line.total for line in self.lines.all()), Decimal())


class OrderLine(models.Model):
    order = models.ForeignKey(Order, related_name="lines", on_delete=models.CASCADE)
    product = models.ForeignKey(Product, on_delete=models.PROTECT)
    quantity = models.PositiveIntegerField(default=1)
    returned = models.PositiveIntegerField(default=0)
    unit_price = models.DecimalField(max_digits=8, decimal_places=2)

    class Meta:
        # In any other sequence, the order would be reported as changed.
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.quantity} {self.product}"

    @property
    def kept(self) -> int:
        return max(self.quantity - self.returned, 0)

    @property
    def total(self) -> Decimal:
        return self.unit_price * self.kept
