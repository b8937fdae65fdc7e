"""The accounts whose key Button refused, to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from django_button_orders.models import PausedAccount

if TYPE_CHECKING:
    ModelAdminBase = admin.ModelAdmin[PausedAccount]
else:
    ModelAdminBase = admin.ModelAdmin


@admin.register(PausedAccount)
class PausedAccountAdmin(ModelAdminBase):
    list_display = ["account", "paused_at", "probe_at", "short_error"]
    ordering = ["account"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("last error"))
    def short_error(self, account: PausedAccount) -> str:
        return Truncator(account.last_error).chars(100)
