"""For other packages, each imported only where it is asked for."""

from __future__ import annotations
