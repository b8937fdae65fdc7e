"""The page of an order. The list of them is in listing.py."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextareaWidget
from django.http import HttpRequest, HttpResponse
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_button_orders.admin import display
from django_button_orders.admin.asking import AskingAdmin, view_of_button
from django_button_orders.admin.box import standing_context
from django_button_orders.admin.configured import known_accounts
from django_button_orders.admin.forms import ButtonOrderForm, PrettyJSONField
from django_button_orders.admin.history import history
from django_button_orders.admin.listing import ListingAdmin
from django_button_orders.admin.panel import PanelAdmin
from django_button_orders.admin.preview import preview
from django_button_orders.admin.rights import may_view_bodies
from django_button_orders.admin.sources import link_to_sources, source_link
from django_button_orders.models import PAYLOAD_FIELDS, ButtonOrder
from django_button_orders.models.fields import StrictJSONField
from django_button_orders.report.validation import CHANNELS

READ_ONLY_PAYLOAD = (
    "amount",
    "purchase_date",
    "btn_ref",
    "customer_order_id",
    "pretty_customer",
    "pretty_line_items",
    "partner_order_channel",
    "finalization_date",
)
OUTBOX_FIELDS = (
    "status",
    "reason",
    "attempts",
    "next_attempt_at",
    "last_status_code",
    "last_error",
    "reported_at",
    "button_order_id",
    "cancel_requested_at",
)
INTERNAL_FIELDS = (
    "revision",
    "reported_revision",
    "reported_digest",
    "unanswered",
    "lease_expires_at",
    "lease_token",
    "created_at",
    "updated_at",
)
REPORTING = _("Reporting")
INTERNALS = (_("Internals"), {"fields": INTERNAL_FIELDS, "classes": ["collapse"]})


@admin.register(ButtonOrder)
class ButtonOrderAdmin(PanelAdmin, AskingAdmin, ListingAdmin):
    form = ButtonOrderForm
    formfield_overrides = {
        StrictJSONField: {"form_class": PrettyJSONField, "widget": AdminTextareaWidget}
    }

    class Media:
        js = ["django_button_orders/copy.js"]

    # Permissions

    def has_change_permission(
        self, request: HttpRequest, obj: ButtonOrder | None = None
    ) -> bool:
        """
        Return whether the payload can be edited.

        The worker overwrites that of a shop's order, and never looks at that
        of an order which is to be cancelled.
        """
        if obj is not None and not is_editable(obj):
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(
        self, request: HttpRequest, obj: ButtonOrder | None = None
    ) -> bool:
        # A row proves what was reported.
        return False

    # The page of one order

    def get_fieldsets(
        self, request: HttpRequest, obj: ButtonOrder | None = None
    ) -> Any:
        if obj is None:
            return [(None, {"fields": ("account", "order_id", *PAYLOAD_FIELDS)})]
        payload = self.shown_payload(request, obj)
        identity = ("account", "order_id") if self.has_accounts() else ("order_id",)
        return [
            (None, {"fields": (*identity, *payload)}),
            (REPORTING, {"fields": OUTBOX_FIELDS}),
            INTERNALS,
        ]

    def get_readonly_fields(
        self, request: HttpRequest, obj: ButtonOrder | None = None
    ) -> Any:
        if obj is None:
            return ()
        payload = self.shown_payload(request, obj)
        if self.has_change_permission(request, obj):
            payload = [name for name in payload if name not in PAYLOAD_FIELDS]
        return ("account", "order_id", *payload, *OUTBOX_FIELDS, *INTERNAL_FIELDS)

    def shown_payload(self, request: HttpRequest, order: ButtonOrder) -> list[str]:
        """Return the fields of what Button should know, as a user may see them."""
        is_form = self.has_change_permission(request, order)
        names = PAYLOAD_FIELDS if is_form else READ_ONLY_PAYLOAD
        if may_view_bodies(request):
            return list(names)
        customer = ("customer", "pretty_customer")
        return ["hidden_customer" if name in customer else name for name in names]

    def formfield_for_dbfield(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> Any:
        if db_field.name == "account":
            names = [(name, name) for name in known_accounts()]
            label = capfirst(db_field.verbose_name)
            return forms.ChoiceField(choices=names, label=label, required=False)
        if db_field.name == "partner_order_channel":
            channels = [("", "---------"), *((name, name) for name in CHANNELS)]
            kwargs["widget"] = forms.Select(choices=channels)
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    @admin.display(description=_("customer"))
    def pretty_customer(self, order: ButtonOrder) -> str:
        return display.preformatted(order.customer) or self.get_empty_value_display()

    @admin.display(description=_("customer"))
    def hidden_customer(self, order: ButtonOrder) -> str:
        return gettext("You may not see the customer.")

    @admin.display(description=_("line items"))
    def pretty_line_items(self, order: ButtonOrder) -> str:
        return display.preformatted(order.line_items) or self.get_empty_value_display()

    def save_model(
        self, request: HttpRequest, obj: ButtonOrder, form: Any, change: bool
    ) -> None:
        if change:
            # The rest may have changed since it was loaded.
            obj.save(update_fields=form.changed_data)
        else:
            obj.save()

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        order = context["original"]
        if order is not None:
            link_to_sources(request, self.admin_site, [order])
            context.update(
                source=source_link(order),
                **standing_context(request, order, self.admin_site),
                **self.exchange_context(request, order),
            )
        return super().render_change_form(request, context, *args, **kwargs)

    def exchange_context(
        self, request: HttpRequest, order: ButtonOrder
    ) -> dict[str, Any]:
        """Return what was sent, what would be, and what Button says it has."""
        if not may_view_bodies(request):
            return history(request, order, with_bodies=False)
        planned = preview(order)
        return {
            "preview": planned,
            "view_of_button": view_of_button(order, planned),
            **history(request, order, with_bodies=True),
        }


def is_editable(order: ButtonOrder) -> bool:
    return order.is_direct and order.cancel_requested_at is None
