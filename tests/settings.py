"""Settings of the tests. Environment variables name other databases and a broker."""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec

import environ

with suppress(ImportError):
    import pymysql

    if find_spec("MySQLdb") is None:
        # Django asks for a version of mysqlclient, whose place PyMySQL takes.
        pymysql.version_info = (2, 2, 1, "final", 0)
        pymysql.install_as_MySQLdb()

env = environ.Env()

SECRET_KEY = "tests"
USE_TZ = True
TIME_ZONE = "America/Chicago"
ROOT_URLCONF = "tests.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DATABASES = {
    "default": env.db("DATABASE_URL", default="sqlite://:memory:"),
    "archive": env.db("ARCHIVE_DATABASE_URL", default="sqlite://:memory:"),
}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django_button_orders",
    "tests.shop",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_button_orders.middleware.AttributionMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
# Django 6.1 warns without it. Earlier versions ignore it, and use EMAIL_BACKEND.
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

BUTTON_ORDERS = {"API_KEY": "sk-tests", "BASE_URL": "http://127.0.0.1:9"}
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="memory://")
# Processes of pytest-xdist share a broker, so each has its own queue.
CELERY_TASK_DEFAULT_QUEUE = env.str("PYTEST_XDIST_WORKER", default="celery")
