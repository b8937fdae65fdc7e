"""Asking for something: actions on the list, and buttons on a page."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import unquote
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.db import router, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from django_button_orders.admin.box import Button, safe_next_url
from django_button_orders.admin.forms import NoteForm
from django_button_orders.admin.verbs import CANCEL, DISMISS, RETRY, VERBS, Verb
from django_button_orders.models import ButtonOrder
from django_button_orders.querysets import ButtonOrderQuerySet

if TYPE_CHECKING:
    ModelAdminBase = admin.ModelAdmin[ButtonOrder]
else:
    ModelAdminBase = admin.ModelAdmin

# An action on many rows holds its locks for so many of them at a time: the
# shop may be saving one of their orders.
BATCH_SIZE = 100


class ButtonsAdmin(ModelAdminBase):
    """Each verb needs its own permission, and POST, and leaves a log entry."""

    actions = ["retry_orders", "dismiss_orders", "cancel_orders"]

    @admin.action(description=_("Retry selected orders"), permissions=["retry"])
    def retry_orders(self, request: HttpRequest, queryset: ButtonOrderQuerySet) -> None:
        self.move(request, queryset, RETRY)

    @admin.action(description=_("Dismiss selected orders"), permissions=["dismiss"])
    def dismiss_orders(
        self, request: HttpRequest, queryset: ButtonOrderQuerySet
    ) -> None:
        self.move(request, queryset, DISMISS)

    @admin.action(
        description=_("Cancel selected orders at Button"), permissions=["cancel"]
    )
    def cancel_orders(
        self, request: HttpRequest, queryset: ButtonOrderQuerySet
    ) -> None:
        self.move(request, queryset, CANCEL)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return self.may(request, RETRY)

    def has_dismiss_permission(self, request: HttpRequest) -> bool:
        return self.may(request, DISMISS)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return self.may(request, CANCEL)

    def may(self, request: HttpRequest, verb: Verb) -> bool:
        codename = get_permission_codename(verb.name, self.opts)
        return request.user.has_perm(f"{self.opts.app_label}.{codename}")

    def buttons_for(self, request: HttpRequest, order: ButtonOrder) -> list[Button]:
        """Return the buttons that a user has for an order, as it stands."""
        return [
            Button(
                name=verb.name,
                label=verb.label,
                url=self.button_url(request, order, verb.name),
                warning=verb.warning,
                takes_note=verb.takes_note,
            )
            for verb in VERBS
            if self.may(request, verb) and verb.applicable(order.row()).exists()
        ]

    def button_url(self, request: HttpRequest, order: ButtonOrder, view: str) -> str:
        return self.with_filters(request, self.page_url(order, view))

    def page_url(self, order: ButtonOrder, view: str = "change") -> str:
        return reverse(
            f"admin:{self.url_name(view)}",
            args=[order.pk],
            current_app=self.admin_site.name,
        )

    def with_filters(self, request: HttpRequest, url: str) -> str:
        """Keep what narrows the list down, for the way back to it."""
        context: Any = {
            "preserved_filters": self.get_preserved_filters(request),
            "opts": self.opts,
        }
        return str(add_preserved_filters(context, url))

    def get_urls(self) -> list[URLPattern]:
        return [*map(self.verb_path, VERBS), *super().get_urls()]

    def verb_path(self, verb: Verb) -> URLPattern:
        view = require_POST(partial(self.verb_view, verb=verb))
        return path(
            f"<path:object_id>/{verb.name}/",
            self.admin_site.admin_view(view),
            name=self.url_name(verb.name),
        )

    def url_name(self, view: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{view}"

    def verb_view(
        self, request: HttpRequest, object_id: str, *, verb: Verb
    ) -> HttpResponse:
        order = self.find_order(request, object_id, may=self.may(request, verb))
        values = {}
        if verb.takes_note:
            form = NoteForm(request.POST)
            if not form.is_valid():
                message = " ".join(map(str, form.errors["note"]))
                self.message_user(request, message, messages.ERROR)
                return self.go_back(request, order)
            values = {"note": form.cleaned_data["note"]}
        orders: Any = self.get_queryset(request)
        self.move(request, orders.filter(pk=order.pk), verb, **values)
        return self.go_back(request, order)

    def find_order(
        self, request: HttpRequest, object_id: str, *, may: bool
    ) -> ButtonOrder:
        """Return an order for somebody who may see it, and do what is asked for."""
        order = self.get_object(request, unquote(object_id))
        if not (may and self.has_view_permission(request, order)):
            raise PermissionDenied
        if order is None:
            raise Http404
        return order

    def go_back(self, request: HttpRequest, order: ButtonOrder) -> HttpResponse:
        page = self.with_filters(request, self.page_url(order))
        return HttpResponseRedirect(safe_next_url(request) or page)

    def move(
        self,
        request: HttpRequest,
        orders: ButtonOrderQuerySet,
        verb: Verb,
        **values: str,
    ) -> None:
        """Ask for it, log it for each order, and tell the user what came of it."""
        pks = list(orders.values_list("pk", flat=True))
        moved = 0
        for start in range(0, len(pks), BATCH_SIZE):
            batch = pks[start : start + BATCH_SIZE]
            moved += self.move_batch(request, batch, verb, **values)
        self.message_user(request, *verb.describe(moved, skipped=len(pks) - moved))

    def move_batch(
        self, request: HttpRequest, pks: list[int], verb: Verb, **values: str
    ) -> int:
        # Not where the list was read from, which may be a replica.
        database = router.db_for_write(ButtonOrder)
        orders = ButtonOrder.objects.using(database).filter(pk__in=pks)
        with transaction.atomic(using=database):
            moved = verb.operate(orders, str(request.user.pk), **values)
            for order in moved:
                self.log_change(request, order, verb.log_message(**values))
        return len(moved)
