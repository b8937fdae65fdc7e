"""
The signals that a project can connect to.

``order_reported``, ``order_cancelled`` and ``order_failed`` are sent after the outcome
is committed, with ``send_robust()``. So a receiver that raises an exception cannot
change the outcome. The process that reported the order sends them, usually a Celery
worker. The sender is the ``ButtonOrder`` class, and receivers get two arguments:

* ``button_order``: the Button order after the outcome.
* ``submission``: the ``Submission`` of the last call, or ``None`` if the outcome needed
  no call.
"""

from __future__ import annotations

from django.dispatch import Signal

#: Button has acknowledged the current state of the order. This signal is not sent if
#: Button had already acknowledged the same state.
order_reported = Signal()

#: The order is cancelled at Button, or Button never knew it.
order_cancelled = Signal()

#: The order failed and needs attention. ``button_order.reason`` says why.
#:
#: A change that comes too late for Button sends no signal: nobody has to act. The order
#: becomes ``closed``.
order_failed = Signal()

#: A call to Button has ended. Its outcome is not recorded yet.
#:
#: Receivers get ``order_id``, ``account`` and ``exchange``, which has ``operation``,
#: ``method``, ``url``, ``started_at``, ``duration_ms``, ``status_code`` and ``answer``.
#: Receivers run in the thread that made the call, which also makes other calls. So a
#: receiver must be quick, and must not use the database.
call_ended = Signal()
