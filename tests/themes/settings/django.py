from __future__ import annotations

from tests.themes.settings import settings_for

globals().update(settings_for(theme="django"))
