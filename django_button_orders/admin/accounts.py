"""The accounts whose key Button refused, to look at and to let go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import router, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.text import Truncator
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from django_button_orders import operations
from django_button_orders.admin.box import resume_buttons, safe_next_url
from django_button_orders.admin.rights import may_resume
from django_button_orders.admin.standing import describe_pause
from django_button_orders.models import PausedAccount
from django_button_orders.querysets import PausedAccountQuerySet

if TYPE_CHECKING:
    ModelAdminBase = admin.ModelAdmin[PausedAccount]
else:
    ModelAdminBase = admin.ModelAdmin


@admin.register(PausedAccount)
class PausedAccountAdmin(ModelAdminBase):
    list_display = ["account", "paused_at", "probe_at", "short_error"]
    ordering = ["account"]
    actions = ["resume_accounts"]

    class Media:
        css = {"all": ["django_button_orders/admin.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_resume_permission(self, request: HttpRequest) -> bool:
        return may_resume(request)

    @admin.display(description=_("last error"))
    def short_error(self, account: PausedAccount) -> str:
        return Truncator(account.last_error).chars(100)

    # Resuming

    @admin.action(description=_("Resume selected accounts"), permissions=["resume"])
    def resume_accounts(
        self, request: HttpRequest, queryset: PausedAccountQuerySet
    ) -> None:
        self.resume(request, list(queryset.values_list("pk", flat=True)))

    def get_urls(self) -> list[URLPattern]:
        resume = path(
            "<path:object_id>/resume/",
            self.admin_site.admin_view(require_POST(self.resume_view)),
            name=f"{self.opts.app_label}_{self.opts.model_name}_resume",
        )
        return [resume, *super().get_urls()]

    def resume_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        # Who may resume it need not see it here: the button is on its orders, too.
        if not may_resume(request):
            raise PermissionDenied
        account = self.get_object(request, unquote(object_id))
        self.resume(request, [account.pk] if account else [])
        return HttpResponseRedirect(safe_next_url(request) or self.next_page(request))

    def next_page(self, request: HttpRequest) -> str:
        view = f"{self.opts.app_label}_{self.opts.model_name}_changelist"
        name = view if self.has_view_permission(request) else "index"
        return reverse(f"admin:{name}", current_app=self.admin_site.name)

    def resume(self, request: HttpRequest, pks: list[int]) -> None:
        """Let accounts go on, log it for each, and tell the user."""
        database = router.db_for_write(PausedAccount)
        paused = PausedAccount.objects.using(database).filter(pk__in=pks)
        with transaction.atomic(using=database):
            resumed = operations.resume_accounts(
                paused, trigger="admin", user_id=str(request.user.pk)
            )
            for account in resumed:
                self.log_change(request, account, translate("Resumed."))
        self.message_user(request, *describe_resumed(resumed))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        account = context["original"]
        context["standing"] = describe_pause(account)
        context["buttons"] = resume_buttons(request, account, self.admin_site)
        return super().render_change_form(request, context, *args, **kwargs)


def describe_resumed(resumed: list[PausedAccount]) -> tuple[str, int]:
    if not resumed:
        return translate("It is not paused any more."), messages.WARNING
    sentence = ngettext(
        "The account %(names)s goes on, and what waited for its key is due. If "
        "Button refuses the key again, the account is paused again.",
        "The accounts %(names)s go on, and what waited for their keys is due. If "
        "Button refuses a key again, its account is paused again.",
        len(resumed),
    )
    names = ", ".join(account.account for account in resumed)
    return sentence % {"names": names}, messages.SUCCESS
