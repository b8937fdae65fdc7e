"""The example shop with one of the integrations, chosen by the environment."""

from __future__ import annotations

import json
import os

import requests
from config.settings import *  # noqa: F403
from config.settings import BUTTON_ORDERS, INSTALLED_APPS, MIDDLEWARE

DEBUG = False
# Each run has a queue of its own on the broker that all of them share.
CELERY_TASK_DEFAULT_QUEUE = os.environ.get("BENCH_QUEUE", "bench")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# The runs send what the schedule would, when it is due.
CELERY_BEAT_SCHEDULE = {}

BUTTON_ORDERS = {
    **BUTTON_ORDERS,
    **json.loads(os.environ.get("BENCH_BUTTON_ORDERS", "{}")),
}

OURS, NAIVE = "django_button_orders", "benchmarks.naive"
# "all" is for the process that measures, which looks into the tables of each.
INTEGRATIONS = {"ours": [OURS], "naive": [NAIVE], "plain": [], "all": [OURS, NAIVE]}
apps = INTEGRATIONS[os.environ.get("BENCH_INTEGRATION", "all")]
INSTALLED_APPS = [name for name in INSTALLED_APPS if name != OURS] + apps
if OURS not in apps:
    # The example shop's has our box on it.
    INSTALLED_APPS.remove("django.contrib.admin")
    ROOT_URLCONF = "shop.urls"
    MIDDLEWARE = [name for name in MIDDLEWARE if not name.startswith(OURS)]

if certificate := os.environ.get("BENCH_CERTIFICATE"):
    # The one that was made for this run; a session without trust in the
    # environment would not take it from there.
    requests.adapters.DEFAULT_CA_BUNDLE_PATH = certificate
