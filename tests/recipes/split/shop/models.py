from __future__ import annotations

from django.db import models
from django.utils import timezone


class Order(models.Model):
    number = models.CharField(max_length=50, unique=True)
    placed_at = models.DateTimeField(default=timezone.now)
    net_total = models.IntegerField(default=7000)
