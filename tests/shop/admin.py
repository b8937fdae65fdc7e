from __future__ import annotations

from django.contrib import admin

from django_button_orders.admin import ButtonOrderAdminMixin
from tests.shop.models import Order


@admin.register(Order)
class OrderAdmin(ButtonOrderAdminMixin, admin.ModelAdmin):
    pass
