"""What is known of an account at Button: whether, and when, it may be called."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_button_orders.models.clock import DatabaseNow, from_now
from django_button_orders.models.fields import ExactCharField


class CallRate(models.Model):
    """When the next call for an account with a ``RATE_LIMIT`` may begin."""

    account = ExactCharField(_("account"), max_length=100, unique=True)
    next_call_at = models.DateTimeField(_("next call"))

    class Meta:
        verbose_name = _("call rate")
        verbose_name_plural = _("call rates")

    def __str__(self) -> str:
        return str(self.account)


class PausedAccountQuerySet(models.QuerySet["PausedAccount"]):
    def probeable(self) -> PausedAccountQuerySet:
        return self.filter(probe_at__lte=DatabaseNow())

    def pause(self, account: str, *, seconds: float, error: str) -> None:
        """Stop calls for an account, until one row may probe it."""
        values = {"probe_at": from_now(seconds), "last_error": error}
        if not self.filter(account=account).update(**values):
            self.bulk_create(
                [self.model(account=account, **values)], ignore_conflicts=True
            )

    def probe_now(self, account: str) -> None:
        self.filter(account=account).update(probe_at=DatabaseNow())

    def take_probe(self, account: str, *, seconds: float) -> bool:
        """Return whether the caller is the one who may probe the account now."""
        probe = self.probeable().filter(account=account)
        return probe.update(probe_at=from_now(seconds)) == 1


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
