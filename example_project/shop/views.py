from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from django_button_orders import get_btn_ref
from shop.forms import CheckoutForm
from shop.models import Order, OrderLine, Product


def landing(request: HttpRequest) -> HttpResponse:
    """Show the products. Partners link to this page, with ?btn_ref=."""
    return render(request, "shop/landing.html", {"products": Product.objects.all()})


def checkout(request: HttpRequest) -> HttpResponse:
    form = CheckoutForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        order = place_order(form, btn_ref=get_btn_ref(request))
        return redirect("thanks", number=order.number)
    return render(request, "shop/checkout.html", {"form": form})


@transaction.atomic
def place_order(form: CheckoutForm, *, btn_ref: str) -> Order:
    """Save the order and then its lines, as most shops do."""
    order = Order(
        status=Order.Status.PAID, email=form.cleaned_data["email"], btn_ref=btn_ref
    )
    order.number = f"{order.placed_at:%Y}-{1001 + Order.objects.count()}"
    order.save()
    for product, quantity in form.chosen():
        OrderLine.objects.create(
            order=order, product=product, quantity=quantity, unit_price=product.price
        )
    return order


def thanks(request: HttpRequest, number: str) -> HttpResponse:
    order = get_object_or_404(Order, number=number)
    return render(request, "shop/thanks.html", {"order": order})
