"""Create the tables and the products: python -m tests.faults.shelves"""

from __future__ import annotations

import django

django.setup()

from django.core.management import call_command  # noqa: E402

if __name__ == "__main__":
    # One process for both commands, because Django takes a second to start.
    call_command("migrate", verbosity=0)
    call_command("stock_shop")
