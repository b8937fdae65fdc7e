"""What is known of an account at Button: whether, and when, it may be called."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_button_orders.models.clock import DatabaseNow
from django_button_orders.models.fields import ExactCharField
from django_button_orders.models.querysets import PausedAccountQuerySet


class CallRate(models.Model):
    """When the next call for an account with a ``RATE_LIMIT`` may begin."""

    account = ExactCharField(_("account"), max_length=100, unique=True)
    next_call_at = models.DateTimeField(_("next call"))

    class Meta:
        verbose_name = _("call rate")
        verbose_name_plural = _("call rates")

    def __str__(self) -> str:
        return str(self.account)


class PausedAccount(models.Model):
    """An account whose key Button refused. Nothing is sent until a probe works."""

    account = ExactCharField(_("account"), max_length=100, unique=True)
    paused_at = models.DateTimeField(_("paused"), db_default=DatabaseNow())
    probe_at = models.DateTimeField(_("next probe"))
    last_error = models.TextField(_("last error"), blank=True)

    objects = PausedAccountQuerySet.as_manager()

    class Meta:
        verbose_name = _("paused account")
        verbose_name_plural = _("paused accounts")
        permissions = [
            ("resume_pausedaccount", _("Can resume paused accounts")),
        ]

    def __str__(self) -> str:
        return str(self.account)
