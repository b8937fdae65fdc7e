from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render

from django_button_orders import aget_btn_ref, get_btn_ref
from tests.shop.models import Order


def landing(request):
    return HttpResponse(get_btn_ref(request))


async def async_landing(request):
    return HttpResponse(await aget_btn_ref(request))


async def async_landing_that_waits(request):
    return HttpResponse(get_btn_ref(request))


def order(request, pk):
    found = get_object_or_404(Order, pk=pk)
    return render(request, "shop/order.html", {"order": found})
