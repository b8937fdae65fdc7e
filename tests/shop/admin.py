from __future__ import annotations

from django.contrib import admin
from django.http import HttpResponse
from django.urls import path

from django_button_orders.admin import ButtonOrderAdminMixin
from tests.shop.models import GiftOrder, Order, Page, WebOrder


@admin.register(Order, Page, WebOrder)
class OrderAdmin(ButtonOrderAdminMixin, admin.ModelAdmin):
    pass


@admin.register(GiftOrder)
class GiftOrderAdmin(ButtonOrderAdminMixin, admin.ModelAdmin):
    """An admin that overrides all that ButtonOrderAdminMixin does."""

    change_form_template = "shop/gift_order.html"

    class Media:
        css = {"all": ["gift.css"]}

    def get_urls(self):
        ribbon = path("ribbon/", self.admin_site.admin_view(ribbon_view))
        return [ribbon, *super().get_urls()]

    def change_view(self, request, object_id, form_url="", extra_context=None):
        context = {**(extra_context or {}), "title": "A gift"}
        return super().change_view(request, object_id, form_url, context)

    def render_change_form(self, request, context, **kwargs):
        context["greeting"] = "Hello"
        return super().render_change_form(request, context, **kwargs)


def ribbon_view(request):
    return HttpResponse("red")
