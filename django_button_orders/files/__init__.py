"""
Orders in files: read for a backfill, and written as Button's batch files.

Read ``backfill`` first. It gets a file's orders from ``jsonl`` or from ``tables``
(CSV), which both read the ``lines`` and have ``reports`` built. ``cells`` turns a
table's cells into values. ``export`` goes the other way: it writes batch files.
"""
