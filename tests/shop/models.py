"""A shop whose keys are UUIDs, and whose numbers are like 2026/11 #42."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone


class Order(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    number = models.CharField(max_length=300)
    total = models.DecimalField(max_digits=14, decimal_places=3, default=70)
    currency = models.CharField(max_length=3, default="USD")
    placed_at = models.DateTimeField(default=timezone.now)
    is_paid = models.BooleanField(default=True)
    is_cancelled = models.BooleanField(default=False)
    account = models.CharField(max_length=20, default="default")
    btn_ref = models.CharField(max_length=300, blank=True)
    email = models.CharField(max_length=100, blank=True)
    # The hook of the adapter that raises an error for this order.
    trouble = models.CharField(max_length=20, blank=True)


class OrderLine(models.Model):
    order = models.ForeignKey(Order, related_name="lines", on_delete=models.CASCADE)
    sku = models.CharField(max_length=50)
    price = models.DecimalField(max_digits=14, decimal_places=3)
    quantity = models.IntegerField(default=1)


class WebOrder(Order):
    class Meta:
        proxy = True


class GiftOrder(Order):
    message = models.TextField(blank=True)


class Page(models.Model):
    """A model without an adapter."""

    title = models.CharField(max_length=50)
