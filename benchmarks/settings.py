"""The example shop's settings. BENCH_INTEGRATION chooses the integration."""

from __future__ import annotations

import json
import os

import requests
from config.settings import *  # noqa: F403
from config.settings import BUTTON_ORDERS, INSTALLED_APPS, MIDDLEWARE

DEBUG = False
# Systems share a broker, so each has its own queue.
CELERY_TASK_DEFAULT_QUEUE = os.environ.get("BENCH_QUEUE", "bench")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# ``system`` sends the sweeps, in place of beat.
CELERY_BEAT_SCHEDULE = {}

BUTTON_ORDERS = {
    **BUTTON_ORDERS,
    **json.loads(os.environ.get("BENCH_BUTTON_ORDERS", "{}")),
}

OURS, NAIVE = "django_button_orders", "benchmarks.naive"
# "all" is for the measuring process, which reads the tables of each integration.
INTEGRATIONS = {"ours": [OURS], "naive": [NAIVE], "plain": [], "all": [OURS, NAIVE]}
apps = INTEGRATIONS[os.environ.get("BENCH_INTEGRATION", "all")]
INSTALLED_APPS = [name for name in INSTALLED_APPS if name != OURS] + apps
if OURS not in apps:
    # The example shop's admin shows our box, and our app is not installed here.
    INSTALLED_APPS.remove("django.contrib.admin")
    ROOT_URLCONF = "shop.urls"
    MIDDLEWARE = [name for name in MIDDLEWARE if not name.startswith(OURS)]

if certificate := os.environ.get("BENCH_CERTIFICATE"):
    # The certificate of this run. A session without trust_env would not read it from
    # the environment.
    requests.adapters.DEFAULT_CA_BUNDLE_PATH = certificate
