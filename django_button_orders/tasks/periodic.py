"""
The periodic jobs: the sweep, operators' actions, the comparison of the latest orders,
and pruning.

``beat`` says how often each of them runs. The tasks run them in every database;
``button_orders_report --loop`` runs the same jobs without Celery.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from django_button_orders import beat
from django_button_orders.clock import monotonic
from django_button_orders.delivery.sweep import SweepLimits, report_due
from django_button_orders.models import Checkpoint
from django_button_orders.models.databases import allowed_aliases, has_table
from django_button_orders.monitoring.mail import send_alerts
from django_button_orders.monitoring.snapshot import store_sweep
from django_button_orders.operations import retention
from django_button_orders.operations.queue import run_queued_actions
from django_button_orders.printable import get_logger
from django_button_orders.reconcile.recent import compare_recent
from django_button_orders.report.privacy import describe_for_log, is_time_limit

logger = get_logger(__name__)

# The rest of the operators' actions goes on in the next sweep.
ACTION_SECONDS = 10.0
# A comparison that is not complete after this time goes on in its next run.
RECONCILE_SECONDS = 10.0
PRUNE_SLICE_SECONDS = 2.0

IsStopped = Callable[[], bool]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Job:
    """
    A periodic job of one database.

    ``run(alias, is_stopped)`` returns whether the job is complete until its next
    run, ``seconds`` later. ``--loop`` stops it after ``slice_seconds``, and goes on
    with it after the next sweep.
    """

    key: str
    # 0 means that the job runs with each sweep.
    seconds: float
    # What has failed, for the log.
    title: str
    slice_seconds: float
    run: Callable[[str, IsStopped], bool]


def act(alias: str, is_stopped: IsStopped) -> bool:
    """Apply the actions that operators have queued for many orders."""
    return run_queued_actions(using=alias, is_stopped=is_stopped)


def reconcile(alias: str, is_stopped: IsStopped) -> bool:
    """Make orders of the last days due that were written without a signal."""
    compare_recent(using=alias, seconds=RECONCILE_SECONDS, is_stopped=is_stopped)
    return True


def prune(alias: str, is_stopped: IsStopped) -> bool:
    """Prune bodies, submissions and differences as the settings say."""
    return retention.prune(using=alias, is_stopped=is_stopped).is_complete


QUEUED_ACTIONS = Job(
    key="button-orders-actions",
    seconds=0,
    title="the actions of operators",
    slice_seconds=ACTION_SECONDS,
    run=act,
)
RECONCILE = Job(
    key=beat.RECONCILE.key,
    seconds=beat.RECONCILE.seconds,
    title="the comparison of recent orders",
    slice_seconds=RECONCILE_SECONDS,
    run=reconcile,
)
PRUNE = Job(
    key=beat.PRUNE.key,
    seconds=beat.PRUNE.seconds,
    title="pruning",
    slice_seconds=PRUNE_SLICE_SECONDS,
    run=prune,
)


def sweep_each_database(limits: SweepLimits) -> None:
    """
    Run the queued actions and report what is due, in each database.

    Record that a sweep has ended.
    """
    ends = monotonic() + QUEUED_ACTIONS.slice_seconds

    def is_over() -> bool:
        return limits.is_stopped() or monotonic() >= ends

    run_in_each_database(QUEUED_ACTIONS, is_over)

    def sweep(alias: str) -> None:
        Checkpoint.objects.using(alias).first_at_work()
        report_due(using=alias, limits=limits)

    in_each_database(sweep, "the sweep")
    if not limits.is_stopped():
        in_each_database(end_sweep)


def end_sweep(alias: str) -> None:
    """
    Record that a sweep has ended, and send the alerts if it took a snapshot.

    Only one process takes a snapshot, at most once a minute, so only that one looks for
    alerts. Orders have been reported by then: a slow mail server does not delay them.
    """
    if run_or_log(store_sweep, alias, "recording the sweep"):
        run_or_log(send_alerts, alias, "sending alerts")


def run_in_each_database(job: Job, is_stopped: IsStopped) -> None:
    """Run a job in each database."""
    in_each_database(lambda alias: job.run(alias, is_stopped), job.title)


def in_each_database(action: Callable[[str], object], title: str = "") -> None:
    """Run an action in each database that has rows, even if it fails in another."""
    for alias in allowed_aliases():
        if run_or_log(has_table, alias):
            run_or_log(action, alias, title)


def run_or_log(action: Callable[[str], T], alias: str, title: str = "") -> T | None:
    """
    Run an action in a database. Return what it returns, or log its error.

    This catches all errors, because an adapter may raise anything, and the other
    databases and jobs have to go on. It raises only a worker's time limit.
    """
    try:
        return action(alias)
    except Exception as exc:
        if is_time_limit(exc):
            raise
        failed = f": {title} failed" if title else ""
        logger.error("Database %s%s: %s", alias, failed, describe_for_log(exc))
        return None
