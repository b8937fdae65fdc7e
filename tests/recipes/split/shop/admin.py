from __future__ import annotations

from django.contrib import admin
from shop.models import Order

from django_button_orders.admin import ButtonOrderAdminMixin
from tests.recipes.pages import run_block


@admin.register(Order)
class OrderAdmin(ButtonOrderAdminMixin, admin.ModelAdmin):
    pass


run_block("databases", "class ArchivedOrderAdmin", globals())
