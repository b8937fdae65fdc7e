"""Accounts at Button: when each may be called, and which of them are paused."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_button_orders.conf import ACCOUNT_LENGTH
from django_button_orders.models.clock import DatabaseNow, from_now
from django_button_orders.models.fields import (
    AnyTextField,
    AwareDateTimeField,
    ExactCharField,
)

# A paused account is probed with one row after this time.
PAUSE_SECONDS = 300.0


class CallRate(models.Model):
    """The time of the next call for an account that has a ``RATE_LIMIT``."""

    account = ExactCharField(
        _("account"),
        max_length=ACCOUNT_LENGTH,
        unique=True,
        help_text=_("The account that RATE_LIMIT limits."),
    )
    next_call_at = AwareDateTimeField(
        _("next call"),
        help_text=_("The earliest time of the account's next call."),
    )

    class Meta:
        verbose_name = _("call rate")
        verbose_name_plural = _("call rates")

    def __str__(self) -> str:
        return str(self.account)


class PausedAccountQuerySet(models.QuerySet["PausedAccount"]):
    def probeable(self) -> PausedAccountQuerySet:
        """Return the accounts that one row may probe now."""
        return self.filter(probe_at__lte=DatabaseNow())

    def pause(self, account: str, *, seconds: float, error: str) -> None:
        """Pause an account. After ``seconds``, one row may probe it."""
        values = {"probe_at": from_now(seconds), "last_error": error}
        if not self.filter(account=account).update(**values):
            self.bulk_create(
                [self.model(account=account, **values)], ignore_conflicts=True
            )

    def probe_now(self, account: str) -> None:
        """Let the next row of a paused account probe it, without waiting."""
        self.filter(account=account).update(probe_at=DatabaseNow())

    def reserve_probe(self, account: str, *, seconds: float) -> bool:
        """Reserve the probe of an account for ``seconds``. Return if it was free."""
        probe = self.probeable().filter(account=account)
        return probe.update(probe_at=from_now(seconds)) == 1


class PausedAccount(models.Model):
    """An account whose key Button refused. Its orders wait until a key is accepted."""

    account = ExactCharField(
        _("account"),
        max_length=ACCOUNT_LENGTH,
        unique=True,
        help_text=_("The account whose API key Button refused."),
    )
    paused_at = AwareDateTimeField(
        _("paused"),
        db_default=DatabaseNow(),
        help_text=_("When Button refused the API key."),
    )
    probe_at = AwareDateTimeField(
        _("next probe"),
        help_text=_("When one order tests the API key."),
    )
    last_error = AnyTextField(
        _("last error"),
        blank=True,
        help_text=_("The error of the last refusal."),
    )

    objects = PausedAccountQuerySet.as_manager()

    class Meta:
        verbose_name = _("paused account")
        verbose_name_plural = _("paused accounts")
        permissions = [
            ("resume_pausedaccount", _("Can resume paused accounts")),
        ]

    def __str__(self) -> str:
        return str(self.account)
