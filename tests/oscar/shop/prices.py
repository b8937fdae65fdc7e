"""Prices with tax: the stock has them without it, or with it as in Europe."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from django.conf import settings
from oscar.apps.partner import prices, strategy

from tests.oscar.shop.loading import tax_rate


class TaxedPrices:
    def pricing_policy(self, product, stockrecord):
        if stockrecord is None or stockrecord.price is None:
            return prices.Unavailable()
        price, rate = stockrecord.price, tax_rate()
        cent = Decimal(1) if stockrecord.price_currency == "JPY" else Decimal("0.01")
        if settings.SHOP_PRICES_INCLUDE_TAX:
            # Each unit is rounded, and offers apply to the price with tax.
            net = (price / (1 + rate)).quantize(cent, ROUND_HALF_UP)
            return prices.TaxInclusiveFixedPrice(
                stockrecord.price_currency, net, price - net
            )
        tax = (price * rate).quantize(cent, ROUND_HALF_UP)
        return prices.FixedPrice(stockrecord.price_currency, price, tax)


class Strategy(
    strategy.UseFirstStockRecord,
    strategy.StockRequired,
    TaxedPrices,
    strategy.Structured,
):
    def parent_pricing_policy(self, product, children_stock):
        return self.pricing_policy(product, children_stock[0][1])


class Selector:
    def strategy(self, request=None, user=None, **kwargs):
        return Strategy(request)
