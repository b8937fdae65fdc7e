"""Asking for something: buttons on the page of an order."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern

from django_button_orders.admin.base import AddressedAdmin
from django_button_orders.admin.box import Button, safe_next_url
from django_button_orders.admin.forms import NoteForm
from django_button_orders.admin.moving import move
from django_button_orders.admin.rights import may
from django_button_orders.admin.verbs import VERBS, Verb
from django_button_orders.models import ButtonOrder


class ButtonsAdmin(AddressedAdmin):
    """Each verb needs its own permission, and POST, and leaves a log entry."""

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return may(request, "retry_buttonorder")

    def has_dismiss_permission(self, request: HttpRequest) -> bool:
        return may(request, "dismiss_buttonorder")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return may(request, "cancel_buttonorder")

    def may(self, request: HttpRequest, verb: Verb) -> bool:
        # As a project may have it, which overrides these.
        return bool(getattr(self, f"has_{verb.name}_permission")(request))

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

    def button_url(
        self, request: HttpRequest, order: ButtonOrder, view: str = "change"
    ) -> str:
        return self.with_filters(request, self.url(view, order.pk))

    def get_urls(self) -> list[URLPattern]:
        return [*map(self.verb_path, VERBS), *super().get_urls()]

    def verb_path(self, verb: Verb) -> URLPattern:
        view = partial(self.verb_view, verb=verb)
        return self.post_path(f"<path:object_id>/{verb.name}/", view, verb.name)

    def verb_view(
        self, request: HttpRequest, object_id: str, *, verb: Verb
    ) -> HttpResponse:
        order = self.find_order(request, object_id, may=self.may(request, verb))
        self.move(request, [order.pk], verb)
        return self.go_back(request, order)

    def find_order(
        self, request: HttpRequest, object_id: str, *, may: bool
    ) -> ButtonOrder:
        """Return an order for somebody who may see it, and do what is asked for."""
        order: ButtonOrder | None = self.get_written_object(request, object_id)
        if not (may and self.has_view_permission(request, order)):
            raise PermissionDenied
        if order is None:
            raise Http404
        return order

    def go_back(self, request: HttpRequest, order: ButtonOrder) -> HttpResponse:
        page = self.button_url(request, order)
        return HttpResponseRedirect(safe_next_url(request) or page)

    def move(self, request: HttpRequest, pks: list[int], verb: Verb) -> None:
        """Do to orders what was asked for, and tell the user what came of it."""
        form = NoteForm(request.POST if verb.takes_note else {})
        if form.is_valid():
            note = form.cleaned_data["note"]
            message = move(verb, pks, user_id=request.user.pk, note=note)
        else:
            message = " ".join(map(str, form.errors["note"])), messages.ERROR
        self.message_user(request, *message)
