"""
A shop whose orders are in a second database, as ``docs/howto/databases.rst`` says.

``SECOND`` is the alias of that database: "orders" has all orders by a router, "archive"
has some of them, and an admin site. ``tests.recipes.test_databases`` runs the command
``live_a_day`` with two files. ``DATABASE_URL`` and ``SECOND_DATABASE_URL`` may name
servers instead.
"""
