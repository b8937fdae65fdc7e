"""Connect the app to Django: checks, the doorbell, receivers and adapters."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register
from django.db.models.signals import post_migrate, post_save
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class ButtonOrdersConfig(AppConfig):
    name = "django_button_orders"
    verbose_name = _("Button orders")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # These modules import the models, which are loaded only now.
        from django_button_orders import checks, doorbell
        from django_button_orders.models import databases
        from django_button_orders.outbox import adapters, receivers
        from django_button_orders.tasks.checks import check_celery
        from django_button_orders.tasks.publisher import CeleryPublisher

        register(checks.check_button_orders)
        register(checks.check_deployment, deploy=True)
        register(check_celery)
        register(checks.check_sites, Tags.database)
        doorbell.connect(CeleryPublisher())
        # For all senders, because proxies and children of a registered model send
        # signals of their own.
        uid = "django_button_orders"
        post_save.connect(receivers.mark_on_save, dispatch_uid=f"{uid}.mark_on_save")
        post_migrate.connect(
            databases.store_first_work,
            sender=self,
            dispatch_uid=f"{uid}.store_first_work",
        )
        adapters.on_registration(receivers.connect_watched)
        autodiscover_modules("button_orders")
