from __future__ import annotations

from django.contrib import admin
from shop.models import Order

from tests.recipes.pages import run_block

# Of the shop's orders, the template has the box, and not the class.
admin.site.register(Order)

run_block("host-admin", "class ReportedChargeAdmin", globals())
run_block("host-admin", "class BackOfficeOrderAdmin", globals())
