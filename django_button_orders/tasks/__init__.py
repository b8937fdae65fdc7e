"""
The Celery tasks. The body of each is one call into the reporting code.

Only this folder imports Celery. Read this file first, then ``worker`` (when a sweep
stops, and how it calls other workers), ``publisher`` (how messages reach the broker)
and ``periodic`` (the jobs that also run without Celery). ``checks`` is for
``manage.py check``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import Task, shared_task

from django_button_orders.beat import (
    PRUNE_SUBMISSIONS,
    RECONCILE_ORDERS,
    REPORT_DUE_ORDERS,
    REPORT_ORDER,
)
from django_button_orders.conf import get_settings
from django_button_orders.delivery import sweep
from django_button_orders.doorbell import LONGEST_COUNTDOWN_SECONDS
from django_button_orders.tasks import periodic
from django_button_orders.tasks.publisher import log_refusal
from django_button_orders.tasks.worker import LIMITS, WITHOUT_HELP, shutdown

if TYPE_CHECKING:
    TaskBase = Task[Any, Any]
else:
    TaskBase = Task


# What a sweep, or the comparison of the latest orders, never takes; pruning goes on the
# next day. It ends what hangs, such as an adapter that waits for another server.
TIME_LIMIT_SECONDS = 60 * 60
# After the soft limit, this is left to record the calls that were made.
RECORDING_SECONDS = 5 * 60


class QueuedTask(TaskBase):
    """
    A task that goes to the queue of the settings, and has time limits of its own.

    A limit of the project or of a worker is for its other tasks. One that is shorter
    than a sweep would end each sweep of a backlog, and leave leased rows behind.
    """

    abstract = True
    time_limit = TIME_LIMIT_SECONDS

    @property
    def soft_time_limit(self) -> int | None:  # type: ignore[override]  # Celery reads it
        """Return the soft limit, below a limit that ``task_annotations`` may set."""
        limit: int | None = self.time_limit
        return limit and max(limit - RECORDING_SECONDS, limit // 2)

    def apply_async(self, *args: Any, **options: Any) -> Any:
        # An option of the schedule that is for django-celery-beat alone.
        options.pop("expire_seconds", None)
        queue = get_settings().queue
        if queue is not None:
            options.setdefault("queue", queue)
        return super().apply_async(*args, **options)


@shared_task(bind=True, base=QueuedTask, name=REPORT_ORDER, ignore_result=True)
def report_order(
    self: Task[Any, Any],
    pk: int,
    using: str = "default",
    trigger: str = "save",
    user_id: str | None = None,
) -> None:
    """Make one attempt at one row; in a worker, also report what else is due."""
    if is_worker(self):
        delay = sweep.report_with_others(
            pk, using=using, trigger=trigger, user_id=user_id, limits=LIMITS
        )
    else:
        # The caller waits for this row only.
        delay = sweep.report(pk, using=using, trigger=trigger, user_id=user_id)
    if delay is not None and delay <= LONGEST_COUNTDOWN_SECONDS:
        ring_later(self, pk, using, delay)


def ring_later(task: Task[Any, Any], pk: int, using: str, delay: float) -> None:
    try:
        task.apply_async((pk,), {"using": using}, countdown=delay)
    except Exception as exc:  # noqa: BLE001 - the row is due all the same
        log_refusal(exc)


@shared_task(bind=True, base=QueuedTask, name=REPORT_DUE_ORDERS, ignore_result=True)
def report_due_orders(self: Task[Any, Any]) -> None:
    """Sweep: run the queued actions, and report what is due, in each database."""
    periodic.sweep_each_database(LIMITS if is_worker(self) else WITHOUT_HELP)


def is_worker(task: Task[Any, Any]) -> bool:
    """Return whether a worker runs the task, and not a caller in its own process."""
    return not (task.request.is_eager or task.request.called_directly)


@shared_task(base=QueuedTask, name=PRUNE_SUBMISSIONS, ignore_result=True)
def prune_submissions() -> None:
    """Prune bodies, submissions and differences as the settings say."""
    periodic.run_in_each_database(periodic.PRUNE, shutdown.is_ending)


@shared_task(base=QueuedTask, name=RECONCILE_ORDERS, ignore_result=True)
def reconcile_orders() -> None:
    """Report orders of the last days that were written without a signal."""
    periodic.run_in_each_database(periodic.RECONCILE, shutdown.is_ending)
