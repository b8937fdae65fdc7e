"""The example shop's settings, with shorter times and parts that tests choose."""

from __future__ import annotations

import json
import os

from config.settings import *  # noqa: F403
from config.settings import BUTTON_ORDERS, DATABASES, INSTALLED_APPS, MIDDLEWARE

DEBUG = False
# Each lab has its own queue, so that labs can share a broker.
CELERY_TASK_DEFAULT_QUEUE = os.environ["FAULTS_QUEUE"]
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
if "FAULTS_TIME_LIMIT" in os.environ:
    CELERY_TASK_TIME_LIMIT = CELERY_TASK_SOFT_TIME_LIMIT = float(
        os.environ["FAULTS_TIME_LIMIT"]
    )
# Celery connects again after the connection to the broker broke.
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None

BUTTON_ORDERS = {
    **BUTTON_ORDERS,
    # A sandbox on a busy machine is slow, and must not look as if it hung.
    "TIMEOUT": (1, 5),
    "DEADLINE": 6,
    "LEASE_SECONDS": 15,
    "RETRY_SCHEDULE": (1, 1, 2, 2, *[3] * 40),
    **json.loads(os.environ.get("FAULTS_BUTTON_ORDERS", "{}")),
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
if os.environ.get("FAULTS_INTEGRATION") == "naive":
    # The naive integration replaces this package. The example shop's admin shows our
    # box, so it goes, too.
    INSTALLED_APPS = [
        "benchmarks.naive" if name == "django_button_orders" else name
        for name in INSTALLED_APPS
        if name != "django.contrib.admin"
    ]
    ROOT_URLCONF = "shop.urls"
    MIDDLEWARE = [
        name for name in MIDDLEWARE if not name.startswith("django_button_orders")
    ]
    CELERY_BEAT_SCHEDULE = {}
if DATABASES["default"]["ENGINE"] == "django.db.backends.mysql":
    DATABASES["default"]["OPTIONS"] = {"charset": "utf8mb4"}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # SQLite lets one process write at a time, and this machine is busy.
    DATABASES["default"]["OPTIONS"]["timeout"] = 60
