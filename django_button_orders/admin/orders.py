"""
The list of Button orders as it is declared, the page of each, and its form.

``changelist`` computes the columns of the list.

The page says first how the order stands (``standing``), which calls were made
(``history``), and what is reported (``payload``, or the form). Below are Button's view
(``ask``), the next call (``preview``), why it earned a commission (``earnings``), and
the internals. Its page "History" is in ``timeline``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import AdminForm
from django.contrib.admin.widgets import AdminTextareaWidget
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_button_orders.admin.ask import AskMixin
from django_button_orders.admin.base import (
    add_host_order_urls,
    host_order_link,
    known_accounts,
    may_view_bodies,
)
from django_button_orders.admin.changelist import OrderListMixin
from django_button_orders.admin.earnings import earnings_context
from django_button_orders.admin.filters import (
    AccountFilter,
    AnswerFilter,
    CurrencyFilter,
    PurchaseDateFilter,
    SourceFilter,
    StateFilter,
    TokenFilter,
)
from django_button_orders.admin.formatting import format_money
from django_button_orders.admin.history import history_context
from django_button_orders.admin.panel import PanelMixin
from django_button_orders.admin.payload import (
    format_customer,
    format_line_items,
    format_total_and_sum,
)
from django_button_orders.admin.preview import preview
from django_button_orders.admin.standing import standing_context
from django_button_orders.admin.timeline import timeline_context
from django_button_orders.admin.verbs import OVERWRITE
from django_button_orders.admin.view_of_button import button_view
from django_button_orders.conf import DEFAULT_ACCOUNT
from django_button_orders.models import PAYLOAD_FIELDS, ButtonOrder
from django_button_orders.models.fields import StrictJSONField
from django_button_orders.report.validation import CHANNELS

if TYPE_CHECKING:
    ModelFormBase = forms.ModelForm[ButtonOrder]
else:
    ModelFormBase = forms.ModelForm

REQUIRED_FIELDS = ("total", "currency", "purchase_date")
READ_ONLY_PAYLOAD = (
    "total_and_sum",
    "shown_line_items",
    "shown_customer",
    "purchase_date",
    "customer_order_id",
    "btn_ref",
    "partner_order_channel",
    "finalization_date",
)
OUTBOX_FIELDS = (
    "status",
    "reason",
    "last_error",
    "last_status_code",
    "attempts",
    "next_attempt_at",
    "reported_at",
    "reported_money",
    "finalizes_at",
    "late_money",
    "button_order_id",
    "cancel_requested_at",
)
INTERNAL_FIELDS = (
    "revision",
    "reported_revision",
    "reported_digest",
    "reported_btn_ref",
    "site",
    "unanswered",
    "lease_expires_at",
    "lease_token",
    "created_at",
    "updated_at",
    "erased_at",
)
EMPTY: tuple[Any, ...] = (None, "", [], {})
# The fields that the page formats, and the fields of the model that they show.
FORMATTED = {
    "total_and_sum": "total",
    "shown_customer": "customer",
    "hidden_customer": "customer",
    "shown_line_items": "line_items",
    "items_table": "line_items",
    "reported_money": "reported_total",
    "late_money": "late_amount",
}


class JSONDecoder(json.JSONDecoder):
    """Raise ``JSONDecodeError`` also if JSON is too deep or has too long a number."""

    def decode(self, text: str, *args: Any) -> Any:
        try:
            return super().decode(text, *args)
        except (ValueError, RecursionError) as exc:
            raise json.JSONDecodeError(type(exc).__name__, text, 0) from exc


class PrettyJSONField(forms.JSONField):
    """Show JSON indented, and an empty field for null."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "decoder": JSONDecoder})

    def prepare_value(self, value: Any) -> Any:
        if value is None:
            return ""
        if isinstance(value, forms.fields.InvalidJSONInput):
            return value
        return json.dumps(value, ensure_ascii=False, indent=2)


class ButtonOrderForm(ModelFormBase):
    """Add or change an order that the shop reports directly, without a model."""

    class Meta:
        # These are not in the form. The page shows more of them without an explanation
        # below each.
        help_texts = dict.fromkeys(OUTBOX_FIELDS, "")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The model allows null, because a host order's row has no report at first.
        for name in self.fields.keys() & REQUIRED_FIELDS:
            self.fields[name].required = True

    def clean_account(self) -> str:
        return self.cleaned_data["account"] or DEFAULT_ACCOUNT

    def add_error(self, field: str | None, error: Any) -> None:
        """
        Show the model's errors at their fields.

        A field that the form refused shows only the form's error, because the model
        got no value for it. Errors of fields that are not in the form are shown
        above all fields.
        """
        if not isinstance(error, ValidationError) or not hasattr(error, "error_dict"):
            super().add_error(field, error)
            return
        for name, errors in error.error_dict.items():
            if name in self.fields and name not in self.errors:
                super().add_error(name, ValidationError(errors))
            elif name == NON_FIELD_ERRORS:
                super().add_error(None, ValidationError(errors))
            elif name not in self.fields:
                messages = ValidationError(errors).messages
                super().add_error(None, f"{name}: {' '.join(messages)}")


@admin.register(ButtonOrder)
class ButtonOrderAdmin(PanelMixin, AskMixin, OrderListMixin):
    """
    Show the list of Button orders and the page of each.

    The declarations of the list are below; ``changelist.OrderListMixin`` has its
    columns and search. ``actions.OrderActionsMixin``, a base of ``AskMixin`` and
    ``OrderListMixin``, has the buttons and the actions for the selected orders.
    """

    # The list

    actions = [
        "retry_orders",
        "dismiss_orders",
        "cancel_orders",
        "erase_orders",
        "export_orders",
    ]
    list_display = [
        "status_badge",
        "order_id",
        "amount",
        "bought",
        "last_answer",
        "next_attempt",
        "host_order",
    ]
    list_display_links = ["order_id"]
    list_filter = [
        "status",
        StateFilter,
        "reason",
        AnswerFilter,
        AccountFilter,
        CurrencyFilter,
        PurchaseDateFilter,
        TokenFilter,
        SourceFilter,
    ]
    field_lookups = {"status__exact", "reason__exact", "account", "currency"}
    unlisted = ("customer", "line_items", "email_sha256")
    # Django shows the search field if there are any; search_orders() uses them.
    search_fields = ["order_id", "customer_order_id", "btn_ref", "button_order_id"]
    search_help_text = _(
        "A whole order ID, customer order ID, attribution token or Button's order ID; "
        "capitals and # usually do not matter. If you may view customers, also an "
        "e-mail address or its SHA-256."
    )

    # The form

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
        Allow a user to edit the payload only where a worker would send it.

        A worker overwrites the payload of a host order, and ignores that of an order
        to be cancelled.
        """
        if obj is not None and not is_editable(obj):
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(
        self, request: HttpRequest, obj: ButtonOrder | None = None
    ) -> bool:
        # The row is the record of what was reported.
        return False

    # The page of one order

    def get_fieldsets(
        self, request: HttpRequest, obj: ButtonOrder | None = None
    ) -> Any:
        if obj is None:
            return [(None, {"fields": ("account", "order_id", *PAYLOAD_FIELDS)})]
        identity = ("account", "order_id") if self.has_accounts() else ("order_id",)
        reported = (*identity, *self.payload_fields(request, obj))
        return [
            (_("What is reported"), {"fields": reported}),
            (_("Reporting"), {"fields": filled(OUTBOX_FIELDS, obj)}),
        ]

    def get_readonly_fields(
        self, request: HttpRequest, obj: ButtonOrder | None = None
    ) -> Any:
        if obj is None:
            return ()
        payload = self.payload_fields(request, obj)
        if self.has_change_permission(request, obj):
            payload = [name for name in payload if name not in PAYLOAD_FIELDS]
        return ("account", "order_id", *payload, *OUTBOX_FIELDS, *INTERNAL_FIELDS)

    def payload_fields(self, request: HttpRequest, order: ButtonOrder) -> list[str]:
        """
        Return the names of the payload's fields that the user may see.

        A form has all of them. A page without a form leaves out the empty ones.
        """
        names = filled(READ_ONLY_PAYLOAD, order)
        if self.has_change_permission(request, order):
            names = [*PAYLOAD_FIELDS, *filled(["items_table"], order)]
        if may_view_bodies(request):
            return names
        customer = ("customer", "shown_customer")
        return ["hidden_customer" if name in customer else name for name in names]

    def formfield_for_dbfield(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> Any:
        if db_field.name == "account":
            names = [(name, name) for name in known_accounts()]
            return forms.ChoiceField(
                choices=names,
                label=capfirst(db_field.verbose_name),
                help_text=db_field.help_text,
                required=False,
            )
        if db_field.name == "partner_order_channel":
            channels = [("", "---------"), *((name, name) for name in CHANNELS)]
            kwargs["widget"] = forms.Select(choices=channels)
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    @admin.display(description=_("total"))
    def total_and_sum(self, order: ButtonOrder) -> str | None:
        return format_total_and_sum(order)

    @admin.display(description=_("line items"))
    def shown_line_items(self, order: ButtonOrder) -> str | None:
        return format_line_items(order)

    @admin.display(description=_("line items as saved"))
    def items_table(self, order: ButtonOrder) -> str | None:
        return format_line_items(order, with_remark=True)

    @admin.display(description=_("customer"))
    def shown_customer(self, order: ButtonOrder) -> str | None:
        return format_customer(order.customer)

    @admin.display(description=_("customer"))
    def hidden_customer(self, order: ButtonOrder) -> str:
        return gettext("You do not have permission to view the customer.")

    @admin.display(description=_("reported total"))
    def reported_money(self, order: ButtonOrder) -> str:
        return self.as_money(order.reported_total, order)

    @admin.display(description=_("late amount"))
    def late_money(self, order: ButtonOrder) -> str:
        return self.as_money(order.late_amount, order)

    def as_money(self, minor_units: int | None, order: ButtonOrder) -> str:
        if minor_units is None:
            return self.get_empty_value_display()
        return format_money(minor_units, order.currency)

    def save_model(
        self, request: HttpRequest, obj: ButtonOrder, form: Any, change: bool
    ) -> None:
        if change:
            # Other fields may have changed since the page was loaded.
            obj.save(update_fields=form.changed_data)
        else:
            obj.save(using=self.write_database)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        order = context["original"]
        if order is not None:
            add_host_order_urls(request, self.admin_site, [order])
            context.update(
                source=host_order_link(order, is_named=True),
                **standing_context(request, order, self.admin_site),
                **self.calls_context(request, order),
                earnings=earnings_context(order, with_bodies=may_view_bodies(request)),
                internals=self.internals(request, context["adminform"].form),
            )
            # Where both sides are compared, the button is offered once more.
            context["overwrite_buttons"] = [
                button
                for button in context.get("buttons", [])
                if button.name == OVERWRITE.name
            ]
        return super().render_change_form(request, context, *args, **kwargs)

    def internals(self, request: HttpRequest, form: Any) -> AdminForm:
        """Return the internals as fieldsets, which stand below the form."""
        names = filled(INTERNAL_FIELDS, form.instance)
        if not may_view_bodies(request):
            # A part of the digest is a hash of the customer, so it confirms a guess.
            names = [name for name in names if name != "reported_digest"]
        fieldsets = [(_("Internals"), {"fields": names, "classes": ["collapse"]})]
        return AdminForm(form, fieldsets, {}, INTERNAL_FIELDS, model_admin=self)

    def history_view(
        self,
        request: HttpRequest,
        object_id: str,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show Django's page "History" with the calls, too."""
        response = super().history_view(request, object_id, extra_context)
        # Without the order or the permission, it is no page but a redirect or an error.
        if isinstance(response, TemplateResponse) and response.context_data is not None:
            order = response.context_data["object"]
            response.context_data.update(timeline_context(request, order))
            response.context_data["media"] = self.media
        return response

    def calls_context(self, request: HttpRequest, order: ButtonOrder) -> dict[str, Any]:
        """Return the context for the next call, Button's view and the history."""
        if not may_view_bodies(request):
            return history_context(request, order, with_bodies=False)
        planned = preview(order)
        return {
            "preview": planned,
            "view_of_button": button_view(order, planned),
            **history_context(request, order, with_bodies=True),
        }


def filled(names: Iterable[str], order: ButtonOrder) -> list[str]:
    """Return the names of the page's fields that are not empty."""
    return [
        name for name in names if getattr(order, FORMATTED.get(name, name)) not in EMPTY
    ]


def is_editable(order: ButtonOrder) -> bool:
    """Return whether a worker sends the order's payload as it is on the row."""
    return order.is_direct and order.cancel_requested_at is None
