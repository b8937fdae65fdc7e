"""Settings of a shop with all apps of django-oscar. DATABASE_URL names a database."""

from __future__ import annotations

import environ
from oscar import INSTALLED_APPS as OSCAR_APPS
from oscar.defaults import *  # noqa: F403 - as Oscar's documentation says

env = environ.Env()

SECRET_KEY = "tests"
USE_TZ = True
TIME_ZONE = "America/Chicago"
ROOT_URLCONF = "tests.oscar.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SITE_ID = 1
STATIC_URL = "/static/"
MEDIA_URL = "/media/"

DATABASES = {
    "default": env.db("DATABASE_URL", default="sqlite://:memory:"),
    "archive": env.db("ARCHIVE_DATABASE_URL", default="sqlite://:memory:"),
}
for database in DATABASES.values():
    # Oscar has a hundred migrations, which take a minute.
    database["TEST"] = {"MIGRATE": False}

INSTALLED_APPS = [
    "django_button_orders.contrib.oscar",
    *OSCAR_APPS,
    "django_button_orders",
    "tests.oscar.shop",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware",
    "django_button_orders.middleware.AttributionMiddleware",
    "oscar.apps.basket.middleware.BasketMiddleware",
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
                "oscar.apps.search.context_processors.search_form",
                "oscar.apps.checkout.context_processors.checkout",
                "oscar.apps.communication.notifications.context_processors.notifications",
                "oscar.core.context_processors.metadata",
            ],
        },
    },
]
AUTHENTICATION_BACKENDS = [
    "oscar.apps.customer.auth_backends.EmailBackend",
    "django.contrib.auth.backends.ModelBackend",
]
HAYSTACK_CONNECTIONS = {
    "default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}
}
# Django 6.1 warns without it. Earlier versions ignore it, and use EMAIL_BACKEND.
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

OSCAR_SHOP_NAME = "Mugs and more"
OSCAR_DEFAULT_CURRENCY = "USD"
OSCAR_ALLOW_ANON_CHECKOUT = True
OSCAR_INITIAL_ORDER_STATUS = "Pending"
OSCAR_INITIAL_LINE_STATUS = "Pending"
# The statuses of the sandbox of Oscar.
OSCAR_ORDER_STATUS_PIPELINE = {
    "Pending": ("Being processed", "Cancelled"),
    "Being processed": ("Complete", "Cancelled"),
    "Complete": ("Refunded",),
    "Refunded": (),
    "Cancelled": (),
}
OSCAR_LINE_STATUS_PIPELINE = {
    "Pending": ("Being processed", "Cancelled"),
    "Being processed": ("Shipped", "Cancelled"),
    "Shipped": ("Returned",),
    "Returned": (),
    "Cancelled": (),
}
OSCAR_ORDER_STATUS_CASCADE = {"Being processed": "Being processed"}

OSCAR_DYNAMIC_CLASS_LOADER = "tests.oscar.shop.loading.load"
SHOP_TAX_RATE = "0.20"
SHOP_PRICES_INCLUDE_TAX = False
SHOP_SURCHARGE = "0"

BUTTON_ORDERS = {"API_KEY": "sk-tests", "BASE_URL": "http://127.0.0.1:9"}
CELERY_BROKER_URL = "memory://"
