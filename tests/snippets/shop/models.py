"""The shop of the documentation. Add a field if a page needs one."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class Order(models.Model):
    number = models.CharField(max_length=50, unique=True)
    placed_at = models.DateTimeField(default=timezone.now, db_index=True)
    # placed, cancelled or returned
    status = models.CharField(max_length=20, default="placed")
    is_paid = models.BooleanField(default=False)
    currency = models.CharField(max_length=3, default="USD")
    # After discounts, without tax and delivery.
    net_total = models.DecimalField(max_digits=10, decimal_places=2)
    # Of a coupon for the whole order. The lines are before it, ``net_total`` after it.
    discount = models.DecimalField(max_digits=10, decimal_places=2, default=0)
    tax = models.DecimalField(max_digits=10, decimal_places=2, default=0)
    delivery = models.DecimalField(max_digits=10, decimal_places=2, default=0)
    # Of what the customer paid, the part that a gift card paid.
    gift_card = models.DecimalField(max_digits=10, decimal_places=2, default=0)
    btn_ref = models.CharField(max_length=255, blank=True)
    # Empty for a guest.
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    email = models.EmailField(blank=True)
    brand = models.CharField(max_length=20, blank=True)
    # How often it was placed again after a cancellation.
    reopened = models.PositiveIntegerField(default=0)


class OrderLine(models.Model):
    order = models.ForeignKey(Order, related_name="lines", on_delete=models.CASCADE)
    sku = models.CharField(max_length=50)
    name = models.CharField(max_length=100, blank=True)
    # From the most general name on: "Home > Kitchen".
    category = models.CharField(max_length=100, blank=True)
    quantity = models.PositiveIntegerField(default=1)
    # Of all units, after the line's discount, without tax.
    net_total = models.DecimalField(max_digits=10, decimal_places=2)
    is_gift_card = models.BooleanField(default=False)


class Refund(models.Model):
    line = models.ForeignKey(
        OrderLine, related_name="refunds", on_delete=models.CASCADE
    )
    amount = models.DecimalField(max_digits=10, decimal_places=2)
