from __future__ import annotations

from shop.celery import app

__all__ = ["app"]
