"""What the blocks of a page may change, until the page ends."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from typing import Any

from celery._state import get_current_app
from django.contrib import admin
from django.core.signals import request_finished, request_started
from django.db import transaction
from django.db.models import signals
from django.test import override_settings

from django_button_orders import signals as own_signals
from django_button_orders.outbox import adapters
from django_button_orders.testing import ButtonSandbox, run_sandbox
from tests.snippets import settings as shop_settings

SIGNALS = [
    signals.m2m_changed,
    signals.post_delete,
    signals.post_save,
    signals.pre_delete,
    signals.pre_save,
    own_signals.call_ended,
    own_signals.order_cancelled,
    own_signals.order_failed,
    own_signals.order_reported,
    request_finished,
    request_started,
]


class PageState:
    """One namespace, one settings module and one transaction for the page's blocks."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {"__name__": "page"}
        self.settings: dict[str, Any] = {
            name: deepcopy(value)
            for name, value in vars(shop_settings).items()
            if name.isupper()
        }
        self.stack = ExitStack()

    def enter(self) -> None:
        for part in (
            rolled_back,
            kept_registries,
            kept_signals,
            kept_logging,
            kept_app,
        ):
            self.stack.enter_context(part())

    def leave(self) -> None:
        self.stack.close()

    def override(self, **values: Any) -> None:
        """Set Django settings for the rest of the page."""
        self.stack.enter_context(override_settings(**values))

    def give_sandbox(self) -> None:
        """Start a local Button for the page, unless it has one."""
        if not isinstance(self.namespace.get("button_sandbox"), ButtonSandbox):
            self.namespace["button_sandbox"] = self.stack.enter_context(run_sandbox())


@contextmanager
def rolled_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@contextmanager
def kept_registries() -> Iterator[None]:
    with kept(adapters._adapters), kept(admin.site._registry):
        yield


@contextmanager
def kept(registry: dict[Any, Any]) -> Iterator[None]:
    before = dict(registry)
    try:
        yield
    finally:
        registry.clear()
        registry.update(before)


@contextmanager
def kept_signals() -> Iterator[None]:
    before = [(signal, list(signal.receivers)) for signal in SIGNALS]
    try:
        yield
    finally:
        for signal, receivers in before:
            signal.receivers[:] = receivers
            signal.sender_receivers_cache.clear()


@contextmanager
def kept_logging() -> Iterator[None]:
    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, logging.root.manager.loggerDict)]
    before = [
        (item, item.level, list(item.handlers), item.propagate, item.disabled)
        for item in loggers
    ]
    try:
        yield
    finally:
        for item, level, handlers, propagate, disabled in before:
            item.setLevel(level)
            item.handlers[:] = handlers
            item.propagate, item.disabled = propagate, disabled


@contextmanager
def kept_app() -> Iterator[None]:
    """Keep Celery's current app: a page may create one."""
    app = get_current_app()
    try:
        yield
    finally:
        app.set_current()
