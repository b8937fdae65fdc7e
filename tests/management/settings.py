"""Settings of commands that run as processes of their own."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403

BUTTON_ORDERS = json.loads(os.environ["BUTTON_ORDERS"])
