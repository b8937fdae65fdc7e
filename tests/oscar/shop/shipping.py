"""Shipping at 5 without tax, or 10 for express, and a surcharge if a test wants it."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from oscar.apps.checkout import applicator, surcharges
from oscar.apps.shipping import repository
from oscar.core import prices

from tests.oscar.shop.loading import tax_rate


class Parcel:
    is_discounted = False
    description = ""

    def __init__(self, code, price):
        self.code = self.name = code
        self.price = Decimal(price)

    def calculate(self, basket):
        return prices.Price(
            currency=basket.currency,
            excl_tax=self.price,
            incl_tax=self.price * (1 + tax_rate()),
        )

    def discount(self, basket):
        return Decimal(0)


class Repository(repository.Repository):
    methods = (Parcel("parcel", "5.00"), Parcel("express", "10.00"))


class SurchargeApplicator(applicator.SurchargeApplicator):
    def get_surcharges(self, basket, **kwargs):
        price = Decimal(settings.SHOP_SURCHARGE)
        if not price:
            return ()
        return (surcharges.FlatCharge(price, price * (1 + tax_rate())),)
