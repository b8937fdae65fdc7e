from __future__ import annotations

from tests.themes.settings import settings_for

globals().update(settings_for("jazzmin", theme="jazzmin"))
JAZZMIN_UI_TWEAKS = {"default_theme_mode": "auto"}
