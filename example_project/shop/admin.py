from __future__ import annotations

from django.contrib import admin

from django_button_orders.admin import ButtonOrderAdminMixin
from shop.models import Order, OrderLine, Product


class OrderLineInline(admin.TabularInline):
    model = OrderLine
    extra = 0


@admin.register(Order)
class OrderAdmin(ButtonOrderAdminMixin, admin.ModelAdmin):
    list_display = ["number", "status", "total", "currency", "email", "placed_at"]
    list_filter = ["status"]
    search_fields = ["=number"]
    inlines = [OrderLineInline]


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["name", "sku", "category", "price"]
