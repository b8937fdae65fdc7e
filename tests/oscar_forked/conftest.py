from __future__ import annotations

from tests.oscar.conftest import pytest_configure as pytest_configure
