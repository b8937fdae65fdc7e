"""
What this shop has instead of Oscar's own classes: prices, shipping and surcharges.

A real shop forks an app for each. The settings ``SHOP_...`` decide, so that a test can
change them.
"""

from __future__ import annotations

from decimal import Decimal
from importlib import import_module

from django.conf import settings
from oscar.core.loading import default_class_loader

OURS = {
    "Selector": "tests.oscar.shop.prices",
    "Repository": "tests.oscar.shop.shipping",
    "SurchargeApplicator": "tests.oscar.shop.shipping",
}


def load(module_label, classnames, module_prefix):
    return [
        getattr(import_module(OURS[name]), name)
        if name in OURS
        else default_class_loader(module_label, [name], module_prefix)[0]
        for name in classnames
    ]


def tax_rate():
    return Decimal(settings.SHOP_TAX_RATE)
