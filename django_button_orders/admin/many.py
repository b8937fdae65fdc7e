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
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.core.exceptions import PermissionDenied
from django.core.signing import BadSignature, SignatureExpired
from django.db import DatabaseError, connections, router, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext, ngettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from django_button_orders import bulk_moves
from django_button_orders.admin.buttons import ButtonsAdmin
from django_button_orders.admin.selections import VALID_SECONDS, Selection, read, sign
from django_button_orders.admin.verbs import CANCEL, DISMISS, RETRY, VERBS, Verb
from django_button_orders.models import ButtonOrder
from django_button_orders.querysets import ButtonOrderQuerySet

# More than that are left to workers: nobody waits for a page so long.
MOST_AT_ONCE = 1000
MAX_NOTE_LENGTH = 500

Status = ButtonOrder.Status

QUESTIONS: dict[str, Any] = {
    RETRY.name: ngettext_lazy(
        "Retry %(count)d order?", "Retry %(count)d orders?", "count"
    ),
    DISMISS.name: ngettext_lazy(
        "Dismiss %(count)d order?", "Dismiss %(count)d orders?", "count"
    ),
    CANCEL.name: ngettext_lazy(
        "Cancel %(count)d order at Button?",
        "Cancel %(count)d orders at Button?",
        "count",
    ),
}
CONSEQUENCES = {
    RETRY.name: _(
        "They are sent to Button again, with a fresh set of attempts. Button will "
        "refuse again what it has refused before, unless that was corrected."
    ),
    DISMISS.name: _(
        "Nothing more is sent for them, and they are no longer listed as failed. What "
        "Button knows of them stays as it is. They can be retried later."
    ),
    CANCEL.name: _(
        "Button will not count them, so nobody earns a commission for them. That "
        "cannot be undone, and does not change the shop's own orders."
    ),
}
ASKED = _("Skipped because their cancellation was asked for before")
SKIPPED: dict[str, dict[str, Any]] = {
    RETRY.name: {
        Status.PENDING: _("Skipped because they are sent by themselves"),
        Status.REPORTED: _("Skipped because Button knows them as they are"),
        Status.CANCELLED: _("Skipped because they are cancelled at Button"),
    },
    DISMISS.name: {
        Status.PENDING: _("Skipped because they have not failed, but are pending"),
        Status.REPORTED: _("Skipped because they have not failed, but are reported"),
        Status.CANCELLED: _("Skipped because they have not failed, but are cancelled"),
        Status.DISMISSED: _("Skipped because they were dismissed before"),
    },
    CANCEL.name: {
        **dict.fromkeys(Status, ASKED),
        Status.CANCELLED: _("Skipped because they are cancelled already"),
    },
}


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
        view: Any = require_POST(partial(self.many_view, verb=verb))
        # Batches are transactions of their own, and workers must see the log entry.
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        pattern: URLPattern = path(
            f"{verb.name}-many/",
            self.admin_site.admin_view(view),
            name=self.url_name(f"{verb.name}_many"),
        )
        return pattern

    def confirm(
        self, request: HttpRequest, orders: ButtonOrderQuerySet, verb: Verb
    ) -> HttpResponse:
        """Say what would be done, and to what, and ask whether it should be."""
        selection = Selection(orders, verb)
        count = len(selection.pks)
        context = {
            **self.admin_site.each_context(request),
            "title": QUESTIONS[verb.name] % {"count": count},
            "opts": self.opts,
            "media": self.media,
            "preserved_filters": self.get_preserved_filters(request),
            "verb": verb,
            "verb_url": reverse(
                f"admin:{self.url_name(f'{verb.name}_many')}",
                current_app=self.admin_site.name,
            ),
            "selection": selection,
            "count": count,
            "signed": sign(request, selection) if count else "",
            "consequences": CONSEQUENCES[verb.name],
            "skipped": [
                (number, SKIPPED[verb.name].get(status, status))
                for status, number in selection.skipped.items()
            ],
            "is_later": count > MOST_AT_ONCE,
            "takes_note": verb is DISMISS,
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
            self.move_many(request, pks, verb)
        return self.redirect_to_list(request)

    def move_many(self, request: HttpRequest, pks: list[int], verb: Verb) -> None:
        options: dict[str, Any] = {
            # Not where the list was read from, which may be a replica.
            "using": router.db_for_write(ButtonOrder),
            "user_id": request.user.pk,
        }
        if verb is DISMISS:
            options["note"] = request.POST.get("note", "").strip()[:MAX_NOTE_LENGTH]
        if len(pks) > MOST_AT_ONCE:
            what = ngettext(
                "%(verb)s: %(count)d order", "%(verb)s: %(count)d orders", len(pks)
            )
            options["what"] = what % {"verb": verb.label, "count": len(pks)}
            told = bulk_moves.move_later(verb.name, pks, **options)
            self.message_user(request, *describe_told(told, len(pks)))
            return
        try:
            moved = bulk_moves.move_many(verb.name, pks, **options)
        except DatabaseError:
            text = _(
                "The database is busy, so not all of it was done. Look at the list, "
                "and do the rest again."
            )
            self.message_user(request, text, messages.ERROR)
        else:
            message = verb.describe(moved, skipped=len(pks) - moved)
            self.message_user(request, *message)

    def redirect_to_list(self, request: HttpRequest) -> HttpResponse:
        url = reverse(
            f"admin:{self.url_name('changelist')}", current_app=self.admin_site.name
        )
        context: Any = {
            "preserved_filters": self.get_preserved_filters(request),
            "opts": self.opts,
        }
        return HttpResponseRedirect(add_preserved_filters(context, url))

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


def describe_told(told: int, count: int) -> tuple[str, int]:
    """Return what became of what workers were to do, and how serious that is."""
    if told == count:
        text = ngettext(
            "%(count)d order is being seen to in the background. The list shows how "
            "far that is, and the history of the order who has asked for it.",
            "%(count)d orders are being seen to in the background. The list shows how "
            "far that is, and the history of each order who has asked for it.",
            count,
        )
        return text % {"count": count}, messages.SUCCESS
    if not told:
        text = gettext(
            "Nothing was done: Celery's broker cannot be reached, and so many orders "
            "are left to workers. Try again when it is back."
        )
        return text, messages.ERROR
    text = gettext(
        "Only %(told)d of %(count)d orders are being seen to in the background. Then "
        "Celery's broker could not be reached any more, and the others stay as they "
        "are. Try again when it is back."
    )
    return text % {"told": told, "count": count}, messages.ERROR
