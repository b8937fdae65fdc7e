"""The code blocks of the README and of the documentation, and what runs them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from django.test import SimpleTestCase

ROOT = Path(__file__).resolve().parent.parent

WRONG = """\
.. code-block:: python

    BUTTON_ORDERS = {"RATE_LIMIT": 10}

.. code-block:: python

    BUTTON_ORDERS["RATE"] = 10

.. code-block:: python

    from shop.models import Order

    Order.objects.get(numer="42")

.. code-block:: sh

    python manage.py button_orders_report --lop

.. code-block:: yaml

    - "

.. code-block:: cobol

    STOP RUN.

.. code-block:: python

    from django_button_orders import OrderAdapter, OrderReport, register


    @register(Order)
    class ShopOrderAdapter(OrderAdapter):
        date_field = "placed_at"

        def build(self, order):
            return OrderReport(
                order_id=order.number,
                total=order.net_total,
                currency=order.currency,
                purchase_date=order.placed_at,
            )

.. code-block:: python

    import requests

    requests.get("https://api.usebutton.com/")

A block without a language::

    python manage.py migrate

.. skip: next if(True, reason="It waits for a customer.")

.. code-block:: python

    input()

.. code-block:: procfile

    worker: celery -A shop worker --pol threads

.. code-block:: python

    def test_order(button_sandbox):
        assert button_sandbox.report() == {"reported": 1}
"""
COMPLAINTS = {
    3: "This BUTTON_ORDERS has no API_KEY",
    7: "unknown key 'RATE'",
    11: "Cannot resolve keyword 'numer'",
    17: "unrecognized arguments: --lop",
    21: "not valid yaml",
    25: "No one checks 'cobol'",
    29: "The report of a typical order is failed: invalid",
    46: "This block connects to api.usebutton.com",
    50: "Write '.. code-block:: LANGUAGE'",
    62: "No such option",
}


def run(*pages):
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "tests.snippets", *pages],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


class SnippetTests(SimpleTestCase):
    def test_all_pages(self):
        """``python -m tests.snippets`` prints this in a readable way."""
        status, output = run()

        assert status == 0, output

    def test_wrong_blocks(self):
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "wrong.rst"
            page.write_text(WRONG)
            status, output = run(str(page))

        assert status == 1
        for line, complaint in COMPLAINTS.items():
            with self.subTest(line=line):
                found = output.partition(f"{page}:{line}: ")[2]
                assert complaint in found.partition("\n____")[0], output
        assert "It waits for a customer." in output
        assert "Blocks and tests in them: 0 run, 1 skipped, 11 wrong." in output
