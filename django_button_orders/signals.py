"""
Signals that a project can connect to.

They are sent with ``send_robust()`` once the outcome is committed, so a
receiver that raises cannot change it. The sender is the ``ButtonOrder`` class.
Receivers run in the process that reported the order, usually a Celery worker,
and get two arguments:

* ``button_order``: the row, as it is after the outcome.
* ``submission``: the ``Submission`` of the last call to Button, or ``None``
  when the outcome needed no call.

``order_reported``: Button has acknowledged what it should know.
``order_cancelled``: the order is cancelled at Button, or never was there.
``order_failed``: a person has to look at it; ``button_order.reason`` says why.

``call_ended`` is another one: a call to Button has just ended, and nothing is written
down yet. It is sent in the thread that made the call, with ``order_id``, ``account``
and ``exchange``, which has ``operation``, ``method``, ``url``, ``started_at``,
``duration_ms``, ``status_code`` and ``answer``. That thread has other calls to see to:
a receiver must be quick, and not touch the database.
"""

from __future__ import annotations

from django.dispatch import Signal

order_reported = Signal()
order_cancelled = Signal()
order_failed = Signal()
call_ended = Signal()
