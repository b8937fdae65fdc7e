from __future__ import annotations

# The app has to be known in every process for shared tasks to find it.
from config.celery import app as celery_app

__all__ = ["celery_app"]
