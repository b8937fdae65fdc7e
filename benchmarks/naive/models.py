from __future__ import annotations

from django.db import models


class Report(models.Model):
    """The state of an order's report."""

    order = models.OneToOneField("shop.Order", on_delete=models.CASCADE)
    status = models.CharField(max_length=10, default="pending")
    button_order_id = models.CharField(max_length=255, blank=True)
    error = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"{self.order_id}: {self.status}"
