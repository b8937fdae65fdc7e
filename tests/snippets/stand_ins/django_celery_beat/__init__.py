"""Stands for the app django-celery-beat in INSTALLED_APPS."""

from __future__ import annotations
