"""
Signals that a project can connect to.

They are sent with ``send_robust()`` after the outcome is committed, so a receiver
that raises cannot change it. The sender is the ``ButtonOrder`` class. Receivers run in
the process that reported the order, usually a Celery worker, and get two arguments:

* ``button_order``: the row, as it is after the outcome.
* ``submission``: the ``Submission`` of the last call to Button, or ``None``
  when the outcome needed no call.

``order_reported``: Button has acknowledged the order's present state.
``order_cancelled``: the order is cancelled at Button, or never was there.
``order_failed``: a person has to act; ``button_order.reason`` says why.

``call_ended`` is different: it is sent when a call to Button ends, before its outcome
is recorded. It is sent in the thread that made the call, with ``order_id``, ``account``
and ``exchange``, which has ``operation``, ``method``, ``url``, ``started_at``,
``duration_ms``, ``status_code`` and ``answer``. That thread makes other calls, too:
a receiver must be quick, and must not use the database.
"""

from __future__ import annotations

from django.dispatch import Signal

order_reported = Signal()
order_cancelled = Signal()
order_failed = Signal()
call_ended = Signal()
