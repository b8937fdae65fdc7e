"""
Asking for something for many orders: first what would be done, then doing it.

The first page changes nothing. The second one needs its signed keys, POST and a
token against forgery, and does a few orders at once or has workers do many.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.core.signing import BadSignature, SignatureExpired
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.translation import gettext_lazy as _

from django_button_orders.admin.buttons import ButtonsAdmin
from django_button_orders.admin.forms import MAX_NOTE_LENGTH
from django_button_orders.admin.moving import MOST_AT_ONCE
from django_button_orders.admin.selections import VALID_SECONDS, Selection, read, sign
from django_button_orders.admin.verbs import CANCEL, DISMISS, RETRY, VERBS, Verb
from django_button_orders.models.querysets import ButtonOrderQuerySet


class ManyAdmin(ButtonsAdmin):
    """Each verb needs its own permission, and leaves a log entry for each order."""

    @admin.action(description=_("Retry selected orders"), permissions=["retry"])
    def retry_orders(
        self, request: HttpRequest, queryset: ButtonOrderQuerySet
    ) -> HttpResponse:
        return self.confirm(request, queryset, RETRY)

    @admin.action(description=_("Dismiss selected orders"), permissions=["dismiss"])
    def dismiss_orders(
        self, request: HttpRequest, queryset: ButtonOrderQuerySet
    ) -> HttpResponse:
        return self.confirm(request, queryset, DISMISS)

    @admin.action(
        description=_("Cancel selected orders at Button"), permissions=["cancel"]
    )
    def cancel_orders(
        self, request: HttpRequest, queryset: ButtonOrderQuerySet
    ) -> HttpResponse:
        return self.confirm(request, queryset, CANCEL)

    def get_urls(self) -> list[URLPattern]:
        return [*map(self.many_path, VERBS), *super().get_urls()]

    def many_path(self, verb: Verb) -> URLPattern:
        view = partial(self.many_view, verb=verb)
        return self.post_path(f"{verb.name}-many/", view, f"{verb.name}_many")

    def confirm(
        self, request: HttpRequest, orders: ButtonOrderQuerySet, verb: Verb
    ) -> HttpResponse:
        """Say what would be done, and to what, and ask whether it should be."""
        selection = Selection(orders, verb)
        count = len(selection.pks)
        context = {
            **self.admin_site.each_context(request),
            "title": verb.question % {"count": count},
            "opts": self.opts,
            "media": self.media,
            "preserved_filters": self.get_preserved_filters(request),
            "verb": verb,
            "verb_url": self.url(f"{verb.name}_many"),
            "selection": selection,
            "count": count,
            "signed": sign(request, selection) if count else "",
            "skipped": [
                (number, verb.why_not.get(status, status))
                for status, number in selection.skipped.items()
            ],
            "is_later": count > MOST_AT_ONCE,
            "max_note_length": MAX_NOTE_LENGTH,
        }
        request.current_app = self.admin_site.name
        template = "admin/django_button_orders/buttonorder/confirm_many.html"
        return TemplateResponse(request, template, context)

    def many_view(self, request: HttpRequest, *, verb: Verb) -> HttpResponse:
        """Do what was confirmed."""
        if not (self.has_view_permission(request) and self.may(request, verb)):
            raise PermissionDenied
        try:
            pks = read(request, request.POST.get("selection", ""), verb)
        except SignatureExpired:
            minutes = VALID_SECONDS // 60
            text = _(
                "Nothing was done: you were asked more than %(minutes)d minutes ago, "
                "and much may have changed. Select the orders again."
            )
            self.message_user(request, text % {"minutes": minutes}, messages.WARNING)
        except BadSignature:
            text = _("Nothing was done: select the orders on this list first.")
            self.message_user(request, text, messages.ERROR)
        else:
            self.move(request, pks, verb)
        url = self.with_filters(request, self.url("changelist"))
        return HttpResponseRedirect(url)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """
        Let "all that match" do without a tick at one of them.

        Without JavaScript, nothing ticks what it applies to.
        """
        ticked = ACTION_CHECKBOX_NAME
        if request.POST.get("select_across") == "1" and ticked not in request.POST:
            post: Any = request.POST.copy()
            post[ticked] = "0"
            request.POST = post
        return super().changelist_view(request, *args, **kwargs)
