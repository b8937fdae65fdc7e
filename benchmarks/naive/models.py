from __future__ import annotations

from django.db import models


class Report(models.Model):
    """What Button said about an order."""

    order = models.OneToOneField("shop.Order", on_delete=models.CASCADE)
    status = models.CharField(max_length=10, default="pending")
    button_order_id = models.CharField(max_length=255, blank=True)
    error = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"{self.order_id}: {self.status}"
