"""The package of the project that the tutorial creates."""

from __future__ import annotations
