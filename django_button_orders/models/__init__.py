"""
What the app stores: Button orders, the calls about them, accounts and figures.

Read ``orders`` (the outbox: one row for each order), ``states`` (its states) and
``querysets`` (selections by state, and moves between states), then ``submissions`` (the
calls to Button). ``accounts``, ``actions`` (of operators), ``alerts`` (sent by e-mail),
``differences``, ``snapshots`` (figures), ``tokens`` (that a shop has no field for) and
``checkpoints`` (of long commands) are smaller tables. ``keyset`` reads large tables
page by page, ``bulk`` writes many rows in one statement, ``erasing`` removes the
personal data of an order, ``contenttypes`` finds the models of the shop's orders,
``clock`` has the database's time, ``databases`` finds the databases with our tables,
``fields`` has column types, and ``encoding`` escapes the characters that a database
cannot store.
"""

from __future__ import annotations

from django_button_orders.models.accounts import CallRate, PausedAccount
from django_button_orders.models.actions import QueuedAction
from django_button_orders.models.alerts import SentAlert
from django_button_orders.models.checkpoints import Checkpoint
from django_button_orders.models.contenttypes import (
    content_type_of,
    content_types,
    model_of,
)
from django_button_orders.models.differences import Difference
from django_button_orders.models.fields import as_aware
from django_button_orders.models.orders import (
    CANCELLED_DIGEST,
    PAYLOAD_FIELDS,
    TOKEN_IS_KNOWN,
    ButtonOrder,
)
from django_button_orders.models.snapshots import Snapshot, SubmissionHour
from django_button_orders.models.submissions import Submission
from django_button_orders.models.tokens import AttributionToken

__all__ = [
    "CANCELLED_DIGEST",
    "PAYLOAD_FIELDS",
    "TOKEN_IS_KNOWN",
    "AttributionToken",
    "ButtonOrder",
    "CallRate",
    "Checkpoint",
    "Difference",
    "PausedAccount",
    "QueuedAction",
    "SentAlert",
    "Snapshot",
    "Submission",
    "SubmissionHour",
    "as_aware",
    "content_type_of",
    "content_types",
    "model_of",
]
