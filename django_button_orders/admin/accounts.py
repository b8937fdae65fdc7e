"""The pages of paused accounts, and the button to resume one."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_button_orders.admin.base import ReadOnlyMixin, safe_next_url, user_may
from django_button_orders.admin.explain import explain_pause
from django_button_orders.admin.formatting import shorten_error
from django_button_orders.admin.standing import resume_buttons
from django_button_orders.models import PausedAccount
from django_button_orders.models.accounts import PausedAccountQuerySet
from django_button_orders.operations import accounts


@admin.register(PausedAccount)
class PausedAccountAdmin(ReadOnlyMixin):
    """Show the list of paused accounts and the page of each."""

    list_display = ["account", "paused_at", "probe_at", "short_error"]
    ordering = ["account"]
    field_lookups = {"account"}
    actions = ["resume_accounts"]

    def has_resume_permission(self, request: HttpRequest) -> bool:
        return user_may(request, "resume_pausedaccount")

    @admin.display(description=_("last error"))
    def short_error(self, account: PausedAccount) -> str:
        return shorten_error(account)

    # Resuming

    @admin.action(description=_("Resume selected accounts"), permissions=["resume"])
    def resume_accounts(
        self, request: HttpRequest, queryset: PausedAccountQuerySet
    ) -> None:
        self.resume(request, list(queryset.values_list("pk", flat=True)))

    def get_urls(self) -> list[URLPattern]:
        resume = self.post_path("<path:object_id>/resume/", self.resume_view, "resume")
        return [resume, *super().get_urls()]

    def resume_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Resume one account, and return to the page with the button."""
        is_allowed = self.has_resume_permission(request)
        account = self.find_for_action(request, object_id, is_allowed=is_allowed)
        self.resume(request, [account.pk] if account else [])
        return HttpResponseRedirect(safe_next_url(request) or self.url("changelist"))

    def resume(self, request: HttpRequest, pks: list[int]) -> None:
        """Resume accounts, add a log entry for each, and show a message."""
        database = self.write_database
        paused = PausedAccount.objects.using(database).filter(pk__in=pks)
        with transaction.atomic(using=database):
            resumed = accounts.resume_accounts(
                paused, trigger="admin", user_id=str(request.user.pk)
            )
            for account in resumed:
                self.log_change(request, account, gettext("Resumed."))
        self.message_user(request, *resumed_message(resumed))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        account = context["original"]
        context["standing"] = explain_pause(account)
        context["buttons"] = resume_buttons(request, account, self.admin_site)
        return super().render_change_form(request, context, *args, **kwargs)


def resumed_message(resumed: list[PausedAccount]) -> tuple[str, int]:
    """Return a message that names the resumed accounts, and its level."""
    if not resumed:
        return gettext("The account is no longer paused."), messages.WARNING
    sentence = ngettext(
        "The account %(names)s is resumed, and its waiting orders are due. "
        "If Button refuses the key again, the account is paused again.",
        "The accounts %(names)s are resumed, and their waiting orders are "
        "due. If Button refuses a key again, its account is paused again.",
        len(resumed),
    )
    names = ", ".join(account.account for account in resumed)
    return sentence % {"names": names}, messages.SUCCESS
