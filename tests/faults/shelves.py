"""Tables, and products in them: python -m tests.faults.shelves"""

from __future__ import annotations

import django

django.setup()

from django.core.management import call_command  # noqa: E402

if __name__ == "__main__":
    # In one process, as each takes a second to start.
    call_command("migrate", verbosity=0)
    call_command("stock_shop")
