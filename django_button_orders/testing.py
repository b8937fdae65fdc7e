"""
For the tests of a shop: a local Button, and attempts without waiting.

``ButtonSandboxMixin`` is for unittest, the fixture ``button_sandbox`` (in
``pytest_plugin``) for pytest, and ``run_sandbox()`` for everything else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.test import override_settings

from django_button_orders.delivery.sweep import report_due
from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.clock import DatabaseNow
from django_button_orders.models.databases import database_aliases
from django_button_orders.sandbox import Sandbox

if TYPE_CHECKING:
    from django.test import SimpleTestCase

    MixinBase = SimpleTestCase
else:
    MixinBase = object

__all__ = ["ButtonSandbox", "ButtonSandboxMixin", "run_sandbox"]


class ButtonSandbox(Sandbox):
    """A ``Sandbox`` with a method that reports, without a worker or a broker."""

    def report(self) -> Counter[str]:
        """
        Make one attempt for each pending order, in this process.

        It does not wait: it also attempts orders that are due later, such as after a
        failure, and orders of a paused account. Return the number of attempts for each
        outcome, such as ``{"reported": 1}`` or ``{"retry": 1}``.
        """
        outcomes: Counter[str] = Counter()
        for alias in database_aliases():
            PausedAccount.objects.using(alias).update(probe_at=DatabaseNow())
            ButtonOrder.objects.using(alias).make_due()
            outcomes += report_due(using=alias)
        return outcomes


@contextmanager
def run_sandbox() -> Iterator[ButtonSandbox]:
    """Start a sandbox, and use it in place of Button while the context is open."""
    with (
        ButtonSandbox() as sandbox,
        override_settings(BUTTON_ORDERS=settings_for(sandbox)),
    ):
        yield sandbox


def settings_for(sandbox: Sandbox) -> dict[str, Any]:
    """
    Return the project's ``BUTTON_ORDERS``, with a sandbox in place of Button.

    ``ENABLED`` is set, because the settings of a project's tests may switch it off.
    """
    address = {"BASE_URL": sandbox.url, "API_KEY": sandbox.api_key}
    ours: Mapping[str, Any] = getattr(settings, "BUTTON_ORDERS", {})
    # A save must ring for no worker: it would report to somewhere else.
    values = {**ours, **address, "ENABLED": True, "DOORBELL": "none"}
    # An account with its own BASE_URL would call the real Button.
    if accounts := values.get("ACCOUNTS"):
        values["ACCOUNTS"] = {
            name: {**account, **address} for name, account in accounts.items()
        }
    return values


class ButtonSandboxMixin(MixinBase):
    """Give each test of a ``TestCase`` its own sandbox, ``self.button_sandbox``."""

    button_sandbox: ButtonSandbox

    def setUp(self) -> None:
        super().setUp()
        with ExitStack() as stack:
            self.button_sandbox = stack.enter_context(run_sandbox())
            self.addCleanup(stack.pop_all().close)
