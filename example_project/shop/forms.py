from __future__ import annotations

from typing import Any

from django import forms

from shop.models import Product


class CheckoutForm(forms.Form):
    """Ask for the quantity of each product, and the customer's address."""

    email = forms.EmailField(label="E-mail")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.products = list(Product.objects.all())
        for product in self.products:
            self.fields[product.sku] = forms.IntegerField(
                label=f"{product.name}, ${product.price}",
                min_value=0,
                max_value=99,
                initial=0,
                required=False,
            )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors and not self.chosen():
            raise forms.ValidationError("Choose something to buy.")
        return data

    def chosen(self) -> list[tuple[Product, int]]:
        return [
            (product, self.cleaned_data[product.sku])
            for product in self.products
            if self.cleaned_data.get(product.sku)
        ]
