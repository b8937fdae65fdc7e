from __future__ import annotations

import sys
from pathlib import Path

from tests.settings import *  # noqa: F403 - these, with changes
from tests.settings import INSTALLED_APPS, env

# Pages import ``shop``.
sys.path.insert(0, str(Path(__file__).parent))

SECOND = env.str("SECOND")
DATABASES = {
    "default": env.db("DATABASE_URL"),
    SECOND: env.db("SECOND_DATABASE_URL"),
}
DATABASE_ROUTERS = ["shop.routers.OrdersRouter"] if SECOND == "orders" else []
INSTALLED_APPS = [
    *(app for app in INSTALLED_APPS if app != "tests.shop"),
    "shop",
]
ROOT_URLCONF = "tests.recipes.split.urls"
ALLOWED_HOSTS = ["testserver"]
