"""Integrations with other packages, under the paths that the documentation gives."""

from __future__ import annotations
