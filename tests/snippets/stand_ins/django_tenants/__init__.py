"""What the pages import of django-tenants 4."""

from __future__ import annotations
