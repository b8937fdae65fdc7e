"""Connect Oscar to the app: tokens at the checkout, and checks."""

from __future__ import annotations

from django.apps import AppConfig, apps
from django.core.checks import register
from django.db.models.signals import post_save
from django.utils.translation import gettext_lazy as _


class OscarConfig(AppConfig):
    name = "django_button_orders.contrib.oscar"
    # Oscar itself has the label "oscar".
    label = "button_orders_oscar"
    verbose_name = _("Button orders in Oscar")

    def ready(self) -> None:
        # These modules import the models, which are loaded only now.
        from django_button_orders.contrib.oscar.checks import (
            check_statuses,
            check_templates,
        )
        from django_button_orders.contrib.oscar.tokens import keep_on_creation

        register(check_templates)
        register(check_statuses)
        post_save.connect(
            keep_on_creation,
            sender=apps.get_app_config("order").get_model("Order"),
            dispatch_uid="django_button_orders.contrib.oscar",
        )
