from __future__ import annotations

from django.apps import apps
from django.db import models

CONFIG = apps.get_app_config("django_button_orders")
# Longer help texts would crowd the pages of the admin.
MAX_HELP_TEXT = 90


def test_help_texts():
    """The admin and the reference page of the models show them."""
    for model in CONFIG.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, models.AutoField):
                continue
            text = str(field.help_text)
            assert text.endswith("."), field
            assert len(text) <= MAX_HELP_TEXT, (field, len(text))
