"""
Run the python blocks of a page.

A block is one of five: a module of tests (``plugin`` has pytest run it), models,
settings, an adapter, or code of the shop. ``run_python`` decides by what it defines.
"""

from __future__ import annotations

import ast
import logging.config
from collections.abc import Iterable, Iterator
from copy import deepcopy
from types import CodeType
from typing import Any

from celery.app.defaults import SETTING_KEYS
from django.apps import AppConfig
from django.conf import global_settings, settings
from django.core.checks import WARNING, CheckMessage
from django.db import models, transaction
from django.db.utils import ConnectionHandler
from django.test.utils import isolate_apps, override_settings
from django.utils.module_loading import import_string
from shop.models import Order
from shop.typical import create_typical_order

from django_button_orders.checks import check_adapters, check_button_orders
from django_button_orders.models import ButtonOrder
from django_button_orders.outbox import adapters
from django_button_orders.tasks.checks import check_celery
from django_button_orders.testing import run_sandbox
from tests.snippets import settings as shop_settings
from tests.snippets.errors import SnippetError
from tests.snippets.page import Block
from tests.snippets.state import PageState

# These are checked in other ways: Django cannot change them in a process.
NOT_OVERRIDDEN = {"DATABASES", "INSTALLED_APPS", "LOGGING", "ROOT_URLCONF"}


def run_python(block: Block, state: PageState) -> None:
    """Run a block. Raises what its code raises, or ``SnippetError``."""
    tree = parse(block)
    if defines_models(tree):
        run_models(block, tree, state)
    elif changes_settings(tree):
        run_settings(block, tree, state)
    elif registers_adapter(tree):
        run_adapter(block, tree, state)
    else:
        run_code(block, tree, state)


def parse(block: Block) -> ast.Module:
    """Parse a block, with the line numbers of its page."""
    try:
        tree = ast.parse(block.code, str(block.path))
    except SyntaxError as exc:
        line = block.line + (exc.lineno or 1) - 1
        raise SnippetError(f"Line {line} is not Python: {exc.msg}") from exc
    ast.increment_lineno(tree, block.line - 1)
    return tree


def compiled(block: Block, tree: ast.Module) -> CodeType:
    # The future imports of this module are not those of the block.
    return compile(tree, str(block.path), "exec", dont_inherit=True)


# Code of the shop


def run_code(block: Block, tree: ast.Module, state: PageState) -> None:
    code = compiled(block, tree)
    if "button_sandbox" in code.co_names:
        state.give_sandbox()
    exec(code, state.namespace)  # noqa: S102 - a block of our own documentation


# Tests


def defines_tests(tree: ast.Module) -> bool:
    functions = (item for item in ast.walk(tree) if isinstance(item, ast.FunctionDef))
    return any(item.name.startswith("test_") for item in functions)


# Models


def defines_models(tree: ast.Module) -> bool:
    bases = (
        ast.unparse(base)
        for item in tree.body
        if isinstance(item, ast.ClassDef)
        for base in item.bases
    )
    return "models.Model" in bases


def run_models(block: Block, tree: ast.Module, state: PageState) -> None:
    """Create the models beside those of the shop, which other blocks go on using."""
    namespace = {**state.namespace, "models": models, "__name__": "shop.models"}
    with isolate_apps("shop"):
        exec(compiled(block, tree), namespace)  # noqa: S102 - as in run_code


# Settings


def changes_settings(tree: ast.Module) -> bool:
    has_class = any(isinstance(item, ast.ClassDef) for item in tree.body)
    return not has_class and any(map(is_setting, changed_names(tree)))


def changed_names(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module assigns, extends, or calls methods of."""
    for item in tree.body:
        targets: list[ast.expr] = []
        if isinstance(item, ast.Assign):
            targets = item.targets
        elif isinstance(item, ast.AnnAssign | ast.AugAssign):
            targets = [item.target]
        elif isinstance(item, ast.Expr) and isinstance(item.value, ast.Call):
            targets = [item.value.func]
        for target in targets:
            root = target
            while isinstance(root, ast.Attribute | ast.Subscript):
                root = root.value
            if isinstance(root, ast.Name):
                yield root.id


def is_setting(name: str) -> bool:
    is_known = hasattr(global_settings, name) or hasattr(shop_settings, name)
    return name.isupper() and (is_known or name.startswith("CELERY_"))


def run_settings(block: Block, tree: ast.Module, state: PageState) -> None:
    """Run a block as the end of the settings module, and check what it has set."""
    namespace = {**deepcopy(state.settings), "__name__": "settings"}
    exec(compiled(block, tree), namespace)  # noqa: S102 - as in run_code
    if "API_KEY" not in namespace["BUTTON_ORDERS"]:
        raise SnippetError(
            "This BUTTON_ORDERS has no API_KEY, so a shop that copies it stops "
            "reporting. Add the key, or extend the dict: BUTTON_ORDERS['NAME'] = ..."
        )
    changed = {
        name: value
        for name, value in namespace.items()
        if name.isupper() and state.settings.get(name, Ellipsis) != value
    }
    check_celery_names(changed)
    check_apps(changed.get("INSTALLED_APPS", ()), state.settings["INSTALLED_APPS"])
    check_middleware(changed.get("MIDDLEWARE", ()))
    check_databases(changed.get("DATABASES", {}))
    if "LOGGING" in changed:
        logging.config.dictConfig(changed["LOGGING"])
    overridden = {
        name: deepcopy(value)
        for name, value in changed.items()
        if name not in NOT_OVERRIDDEN and not name.startswith("CELERY_")
    }
    with override_settings(**overridden):
        raise_messages([*check_button_orders(), *check_celery()])
    state.settings |= changed
    state.override(**overridden)


def check_celery_names(changed: dict[str, Any]) -> None:
    for name in changed:
        key = name.removeprefix("CELERY_").lower()
        if name.startswith("CELERY_") and key not in SETTING_KEYS:
            raise SnippetError(
                f"Celery has no setting {key!r}, so {name} does nothing."
            )


def check_apps(apps: list[str], before: list[str]) -> None:
    for app in set(apps) - set(before):
        try:
            AppConfig.create(app)
        except ImportError as exc:
            raise SnippetError(
                f"INSTALLED_APPS: {app!r} cannot be found: {exc}"
            ) from exc


def check_middleware(middleware: list[str]) -> None:
    for path in middleware:
        try:
            import_string(path)
        except ImportError as exc:
            raise SnippetError(f"MIDDLEWARE: {exc}") from exc


def check_databases(databases: dict[str, Any]) -> None:
    """Open the SQLite databases of a block, in memory: their options are read then."""
    for values in databases.values():
        if "sqlite3" in values["ENGINE"]:
            mine = {"default": {**deepcopy(values), "NAME": ":memory:"}}
            connection = ConnectionHandler(mine)["default"]
            connection.connect()
            # Django does not close a database in memory.
            connection.connection.close()


def raise_messages(messages: Iterable[CheckMessage]) -> None:
    """Raise for the warnings and errors that ``manage.py check`` would print."""
    found = [
        f"{message.id}: {message.msg} {message.hint or ''}".rstrip()
        for message in messages
        if message.level >= WARNING
        and message.id not in settings.SILENCED_SYSTEM_CHECKS
    ]
    if found:
        raise SnippetError(
            "After this block, manage.py check says:\n" + "\n".join(found)
        )


# Adapters


def registers_adapter(tree: ast.Module) -> bool:
    return any(
        isinstance(item, ast.ClassDef)
        and any("register(" in ast.unparse(mark) for mark in item.decorator_list)
        and any("Adapter" in ast.unparse(base) for base in item.bases)
        for item in tree.body
    )


def run_adapter(block: Block, tree: ast.Module, state: PageState) -> None:
    """Register the adapter in place of all others, and report an order with it."""
    adapters._adapters.clear()
    run_code(block, tree, state)
    raise_messages(check_adapters())
    if Order in adapters._adapters:
        try_adapter()


def try_adapter() -> None:
    """Report a typical order to a local Button, which refuses what is not valid."""
    with transaction.atomic(), run_sandbox() as sandbox:
        create_typical_order()
        sandbox.report()
        rows = list(ButtonOrder.objects.exclude(status="reported"))
        orders = list(sandbox.orders)
        transaction.set_rollback(True)
    for row in rows:
        raise SnippetError(
            f"The report of a typical order is {row.status}: {row.reason} "
            f"{row.last_error}\nThe order is made in tests/snippets/shop/typical.py."
        )
    if not orders:
        raise SnippetError(
            "The adapter reports no typical order (paid, placed now): is_reportable() "
            "returns False. The order is made in tests/snippets/shop/typical.py."
        )
