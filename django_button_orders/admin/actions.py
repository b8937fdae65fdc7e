"""
Retry, dismiss, cancel, overwrite and erase: one order's buttons, the list's actions.

A button's view runs its action at once. An action of the list first shows a page
that counts the orders and changes nothing. That page posts its signed keys to a view
that runs the action, or leaves it to the next sweep if there are many orders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.signing import BadSignature, SignatureExpired
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_button_orders.admin.base import UrlsMixin, safe_next_url, user_may
from django_button_orders.admin.selection import (
    VALID_SECONDS,
    Selection,
    read_keys,
    sign_keys,
)
from django_button_orders.admin.standing import Button
from django_button_orders.admin.verbs import (
    BULK_VERBS,
    CANCEL,
    DISMISS,
    ERASE,
    MAX_NOTE_LENGTH,
    RETRY,
    VERBS,
    BulkVerb,
    Verb,
    read_note,
)
from django_button_orders.models import ButtonOrder
from django_button_orders.models.keyset import Keyset
from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.operations.orders import run_action
from django_button_orders.operations.queue import queue_action

# The next sweep runs an action on more orders than this, because a page would take too
# long.
MAX_AT_ONCE = 1000


class OrderActionsMixin(UrlsMixin):
    """
    Add the buttons Retry, Dismiss, Cancel and Report over it to the page of an order.

    Each needs its permission and POST, and adds an entry to the admin's log.
    """

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return user_may(request, "retry_buttonorder")

    def has_dismiss_permission(self, request: HttpRequest) -> bool:
        return user_may(request, "dismiss_buttonorder")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return user_may(request, "cancel_buttonorder")

    def has_overwrite_permission(self, request: HttpRequest) -> bool:
        return user_may(request, "overwrite_buttonorder")

    def has_erase_permission(self, request: HttpRequest) -> bool:
        return user_may(request, "erase_buttonorder")

    def has_verb_permission(self, request: HttpRequest, verb: Verb) -> bool:
        """Return whether the user has the permission for a verb."""
        # Call the method by name, because a project may override it.
        return bool(getattr(self, f"has_{verb.name}_permission")(request))

    def buttons_for(self, request: HttpRequest, order: ButtonOrder) -> list[Button]:
        """Return the buttons that the user may press and the order's state allows."""
        return [
            Button(
                name=verb.name,
                label=verb.label,
                url=self.button_url(request, order, verb.name),
                warning=verb.warning_about(order),
                takes_note=verb.takes_note,
            )
            for verb in VERBS
            if self.has_verb_permission(request, verb)
            and verb.applicable(order.row()).exists()
        ]

    def button_url(
        self, request: HttpRequest, order: ButtonOrder, view: str = "change"
    ) -> str:
        """Return the URL of an order's view, with the filters of the list."""
        return self.with_filters(request, self.url(view, order.pk))

    def get_urls(self) -> list[URLPattern]:
        return [*map(self.verb_path, VERBS), *super().get_urls()]

    def verb_path(self, verb: Verb) -> URLPattern:
        """Return the URL pattern that a verb's button posts to."""
        view = partial(self.verb_view, verb=verb)
        return self.post_path(f"<path:object_id>/{verb.name}/", view, verb.name)

    def verb_view(
        self, request: HttpRequest, object_id: str, *, verb: Verb
    ) -> HttpResponse:
        """Run a verb on one order, and return to the page with the button."""
        is_allowed = self.has_verb_permission(request, verb)
        order = self.find_order(request, object_id, is_allowed=is_allowed)
        self.run_or_queue(request, [order.pk], verb)
        return self.go_back(request, order)

    def run_or_queue(
        self, request: HttpRequest, pks: Sequence[int], verb: Verb
    ) -> None:
        """Run a verb on orders now, or leave many orders to the next sweep."""
        with self.show_errors(request):
            name = action_name(request, verb)
            options: dict[str, Any] = {
                # The list may come from a replica, which must not be written to.
                "using": self.write_database,
                "user_id": request.user.pk,
                "note": read_note(request.POST, verb),
            }
            if len(pks) > MAX_AT_ONCE:
                what = request_text(verb, len(pks))
                queue_action(name, pks, what=what, **options)
                message = queued_message(len(pks))
            else:
                count = run_action(name, pks, **options)
                message = verb.result_message(count, selected=len(pks))
            self.message_user(request, *message)

    def find_order(
        self, request: HttpRequest, object_id: str, *, is_allowed: bool
    ) -> ButtonOrder:
        """
        Return the order that an action is for.

        Raise ``PermissionDenied`` as ``find_for_action`` does, and ``Http404`` if
        there is no such order.
        """
        order: ButtonOrder | None = self.find_for_action(
            request, object_id, is_allowed=is_allowed
        )
        if order is None:
            raise Http404
        return order

    def go_back(self, request: HttpRequest, order: ButtonOrder) -> HttpResponse:
        """Redirect to the page with the button, which may be the host order's."""
        page = self.button_url(request, order)
        return HttpResponseRedirect(safe_next_url(request) or page)

    @contextmanager
    def show_errors(self, request: HttpRequest) -> Iterator[None]:
        """Show a bad note or a busy database to the user, instead of raising."""
        try:
            yield
        except ValidationError as exc:
            self.message_user(request, " ".join(exc.messages), messages.ERROR)
        except DatabaseError:
            text = _(
                "The database is busy, so some orders were not changed. Check the "
                "list, and repeat the action for them."
            )
            self.message_user(request, text, messages.ERROR)


class BulkActionsMixin(OrderActionsMixin):
    """
    Add the actions Retry, Dismiss, Cancel and Erase to the list, with confirmations.

    Each needs its permission, and adds a log entry for each order that it changes.
    """

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

    @admin.action(
        description=_("Erase personal data of selected orders"), permissions=["erase"]
    )
    def erase_orders(
        self, request: HttpRequest, queryset: ButtonOrderQuerySet
    ) -> HttpResponse:
        return self.confirm(request, queryset, ERASE)

    def get_urls(self) -> list[URLPattern]:
        return [*map(self.confirmed_path, BULK_VERBS), *super().get_urls()]

    def confirmed_path(self, verb: Verb) -> URLPattern:
        """Return the URL pattern that a verb's confirmation posts to."""
        view = partial(self.confirmed_view, verb=verb)
        return self.post_path(f"{verb.name}-many/", view, f"{verb.name}_many")

    def confirm(
        self, request: HttpRequest, orders: ButtonOrderQuerySet, verb: BulkVerb
    ) -> HttpResponse:
        """Show how many orders a verb would change, and ask for confirmation."""
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
            "signed": sign_keys(request, selection) if count else "",
            "skipped": [
                (number, verb.why_not.get(status, status))
                for status, number in selection.skipped.items()
            ],
            "is_later": count > MAX_AT_ONCE,
            "max_note_length": MAX_NOTE_LENGTH,
        }
        request.current_app = self.admin_site.name
        template = "admin/django_button_orders/buttonorder/confirm_many.html"
        return TemplateResponse(request, template, context)

    def confirmed_view(self, request: HttpRequest, *, verb: Verb) -> HttpResponse:
        """Run a verb on the orders that the confirmation has counted."""
        is_allowed = self.has_verb_permission(request, verb)
        if not (is_allowed and self.has_view_permission(request)):
            raise PermissionDenied
        try:
            pks = read_keys(request, request.POST.get("selection", ""), verb)
        except SignatureExpired:
            minutes = VALID_SECONDS // 60
            text = _(
                "Nothing was changed: the confirmation expired after %(minutes)d "
                "minutes. Select the orders again."
            )
            self.message_user(request, text % {"minutes": minutes}, messages.WARNING)
        except BadSignature:
            text = _("Nothing was changed: select orders in this list first.")
            self.message_user(request, text, messages.ERROR)
        else:
            self.run_or_queue(request, pks, verb)
            if verb is ERASE:
                return self.show_erased(request, pks)
        url = self.with_filters(request, self.url("changelist"))
        return HttpResponseRedirect(url)

    def show_erased(self, request: HttpRequest, pks: Sequence[int]) -> HttpResponse:
        """Show the list of orders that the shop may hand to Button."""
        fields = ("account", "order_id", "button_order_id", "purchase_date")
        orders: list[Any] = []
        rows = ButtonOrder.objects.using(self.write_database).filter(pk__in=pks)
        for page in Keyset(rows).pages(MAX_AT_ONCE):
            orders += [[getattr(order, name) for name in fields] for order in page]
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Orders to hand to Button"),
            "opts": self.opts,
            "media": self.media,
            "preserved_filters": self.get_preserved_filters(request),
            "orders": orders,
        }
        request.current_app = self.admin_site.name
        template = "admin/django_button_orders/buttonorder/erased.html"
        return TemplateResponse(request, template, context)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """
        Allow "all that match" even if the user has ticked no order.

        Django requires a tick, and only its JavaScript sets one.
        """
        ticked = ACTION_CHECKBOX_NAME
        if request.POST.get("select_across") == "1" and ticked not in request.POST:
            post: Any = request.POST.copy()
            post[ticked] = "0"
            request.POST = post
        return super().changelist_view(request, *args, **kwargs)


def action_name(request: HttpRequest, verb: Verb) -> str:
    """Return the name in ``ACTIONS`` of what the user asks for."""
    is_told = verb is ERASE and "tell_button" in request.POST
    return "erase_and_tell" if is_told else verb.name


def request_text(verb: Verb, count: int) -> str:
    """Return what the log says about a verb that is left to the next sweep."""
    what = ngettext("%(verb)s: %(count)d order", "%(verb)s: %(count)d orders", count)
    return what % {"verb": verb.label, "count": count}


def queued_message(count: int) -> tuple[str, int]:
    """Return a message about orders that the next sweep changes, and its level."""
    text = ngettext(
        "%(count)d order will be changed by the next sweep. The list shows "
        "the progress. The history of the order shows who requested it.",
        "%(count)d orders will be changed by the next sweeps. The list "
        "shows the progress. The history of each order shows who requested "
        "it.",
        count,
    )
    return text % {"count": count}, messages.SUCCESS
