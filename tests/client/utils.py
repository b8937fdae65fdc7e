"""What the tests of the client share."""

from __future__ import annotations

import gzip
import tracemalloc
import warnings
from contextlib import contextmanager
from unittest.mock import patch

from django_button_orders.client import cancel_order, create_order, retrieve_order
from tests.faults.gate import dropping_port

PAYLOAD = {"order_id": "1994", "total": 7000}
CREATE = create_order(PAYLOAD)
RETRIEVE = retrieve_order("1994")
CANCEL = cancel_order("1994")
BOMB = gzip.compress(b" " * 2**26)
GONE = "The connection to Button was lost before its answer."
LATE = "Button did not answer in time."


@contextmanager
def bounded_memory():
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


@contextmanager
def trusting(path):
    """Let requests trust a certificate: it reads the file at this path."""
    with patch("requests.adapters.DEFAULT_CA_BUNDLE_PATH", path):
        yield


@contextmanager
def ignored(category):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category)
        yield


@contextmanager
def full_backlog():
    """Yield a base URL at which nobody accepts a connection."""
    with dropping_port() as port:
        yield f"http://127.0.0.1:{port}"
