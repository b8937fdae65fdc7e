"""A shop whose keys are UUIDs, and whose numbers are like 2026/11 #42."""

from __future__ import annotations

import uuid

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models.functions import Upper
from django.utils import timezone


class Customer(models.Model):
    friends = models.ManyToManyField("self")


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
    customer = models.ForeignKey(Customer, null=True, on_delete=models.CASCADE)
    notes = GenericRelation("Note")
    # When the shop got the attribution token.
    token_came_at = models.DateTimeField(null=True)
    # The hook of the adapter that raises an error for this order.
    trouble = models.CharField(max_length=20, blank=True)


class OrderLine(models.Model):
    order = models.ForeignKey(Order, related_name="lines", on_delete=models.CASCADE)
    sku = models.CharField(max_length=50)
    price = models.DecimalField(max_digits=14, decimal_places=3)
    quantity = models.IntegerField(default=1)


class Refund(models.Model):
    line = models.ForeignKey(
        OrderLine, null=True, related_name="refunds", on_delete=models.CASCADE
    )


class Note(models.Model):
    """A note on an order, or on anything else."""

    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE)
    object_id = models.CharField(max_length=40)
    about = GenericForeignKey()


class Coupon(models.Model):
    orders = models.ManyToManyField(Order, related_name="coupons")


class WebOrder(Order):
    class Meta:
        proxy = True


class GiftOrder(Order):
    message = models.TextField(blank=True)


class Page(models.Model):
    """A model without an adapter."""

    title = models.CharField(max_length=50)


class Booking(models.Model):
    """A model with child tables, of which only the children may be orders."""

    number = models.CharField(max_length=50)
    label = models.GeneratedField(
        expression=Upper("number"),
        output_field=models.CharField(max_length=50),
        db_persist=True,
    )


class Trip(Booking):
    persons = models.IntegerField(default=1)


class Cruise(Trip):
    ship = models.CharField(max_length=50, blank=True)


class BookingLine(models.Model):
    booking = models.ForeignKey(Booking, on_delete=models.CASCADE)


class Tenant(models.Model):
    """An order with a key that no text stands for. It has no table."""

    pk = models.CompositePrimaryKey("shop", "number")
    shop = models.IntegerField()
    number = models.IntegerField()

    class Meta:
        managed = False


class Blob(models.Model):
    """An order with another such key. It has no table."""

    key = models.BinaryField(primary_key=True)

    class Meta:
        managed = False


class ChildOfBlob(Blob):
    class Meta:
        managed = False
