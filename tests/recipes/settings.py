"""A shop with dj-stripe and Wagtail, which follows the pages of ``docs/howto``."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from tests.recipes.pages import find_code
from tests.settings import *  # noqa: F403 - these, with changes
from tests.settings import INSTALLED_APPS, TEMPLATES

# Pages import ``shop``.
sys.path.insert(0, str(Path(__file__).parent))

# A form of dj-stripe is not ready for Django 6.0.
warnings.filterwarnings("ignore", "The default scheme will be changed", Warning)

DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
}
ROOT_URLCONF = "tests.recipes.urls"
INSTALLED_APPS = [
    # Before the packages whose classes its admin.py replaces.
    "shop",
    *(app for app in INSTALLED_APPS if app != "tests.shop"),
    "djstripe",
    "wagtail.snippets",
    "wagtail.users",
    "wagtail.documents",
    "wagtail.images",
    "wagtail.search",
    "wagtail.admin",
    "wagtail",
    "taggit",
    "django.contrib.staticfiles",
]
# Templates that the pages show.
TEMPLATES = [
    {
        **TEMPLATES[0],
        "APP_DIRS": False,
        "OPTIONS": {
            **TEMPLATES[0]["OPTIONS"],
            "loaders": [
                (
                    "django.template.loaders.locmem.Loader",
                    {
                        "admin/shop/order/change_form.html": find_code(
                            "host-admin", "{% button_order_box original %}"
                        ),
                        "shop/order_edit.html": find_code(
                            "wagtail", "{% button_order_box object %}"
                        ),
                    },
                ),
                "django.template.loaders.app_directories.Loader",
            ],
        },
    },
]
# Tables are created from the models, which takes seconds less than all migrations.
MIGRATION_MODULES = dict.fromkeys(
    [
        "djstripe",
        "taggit",
        "wagtailadmin",
        "wagtailcore",
        "wagtaildocs",
        "wagtailimages",
        "wagtailsearch",
        "wagtailusers",
    ]
)
STATIC_URL = "/static/"

STRIPE_TEST_SECRET_KEY = "sk_test_" + "0" * 24
STRIPE_LIVE_SECRET_KEY = "sk_live_" + "0" * 24
STRIPE_LIVE_MODE = True
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"

WAGTAIL_SITE_NAME = "The shop"
WAGTAILADMIN_BASE_URL = "http://testserver"
