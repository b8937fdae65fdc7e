from __future__ import annotations

from django.apps import AppConfig


class NaiveConfig(AppConfig):
    name = "benchmarks.naive"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from benchmarks.naive import receivers  # noqa: F401 - they connect
