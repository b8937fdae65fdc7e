"""
Each button of our pages, pressed in Chromium under each theme of Django's admin.

Run these tests with ``make test-themes``. The settings name the theme:
``pytest -m browser tests/themes --ds=tests.themes.settings.unfold``.
"""
