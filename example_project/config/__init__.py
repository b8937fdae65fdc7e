from __future__ import annotations

# Celery finds shared tasks only in processes that have imported the app.
from config.celery import app as celery_app

__all__ = ["celery_app"]
