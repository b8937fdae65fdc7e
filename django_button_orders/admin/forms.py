"""The form of an order that the shop reports directly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError

from django_button_orders.conf import DEFAULT_ACCOUNT
from django_button_orders.models import ButtonOrder

if TYPE_CHECKING:
    ModelFormBase = forms.ModelForm[ButtonOrder]
else:
    ModelFormBase = forms.ModelForm

MAX_NOTE_LENGTH = 500
REQUIRED_FIELDS = ("total", "currency", "purchase_date")


class JSONDecoder(json.JSONDecoder):
    """Has one error for all that is not JSON, too deep and too long included."""

    def decode(self, text: str, *args: Any) -> Any:
        try:
            return super().decode(text, *args)
        except (ValueError, RecursionError) as exc:
            raise json.JSONDecodeError(type(exc).__name__, text, 0) from exc


class PrettyJSONField(forms.JSONField):
    """JSON as a person reads and writes it: indented, and empty for nothing."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "decoder": JSONDecoder})

    def prepare_value(self, value: Any) -> Any:
        if value is None:
            return ""
        if isinstance(value, forms.fields.InvalidJSONInput):
            return value
        return json.dumps(value, ensure_ascii=False, indent=2)


class NoteForm(forms.Form):
    """Why somebody did something, if they want to say it."""

    note = forms.CharField(max_length=MAX_NOTE_LENGTH, required=False)


class ButtonOrderForm(ModelFormBase):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The model has them nullable for rows whose report is yet to be built.
        for name in self.fields.keys() & REQUIRED_FIELDS:
            self.fields[name].required = True

    def clean_account(self) -> str:
        return self.cleaned_data["account"] or DEFAULT_ACCOUNT

    def add_error(self, field: str | None, error: Any) -> None:
        """
        Put what the model says at its field.

        A field with an error of its own has no value, so what the model says
        about that is not worth saying. What is wrong with a field that is not
        in the form is said above all fields.
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
