"""
Orders in files: read for a backfill, and written as Button's batch files.

Read ``backfill`` first. ``forms`` opens files of any encoding as plain UTF-8. The
orders come from ``jsonl`` or from ``tables`` (CSV), which both read the ``lines`` and
have ``reports`` built. ``headers`` finds out what a table's columns are. ``cells``
turns its cells into values, with ``numbers`` and ``dates`` as people write them.
``export`` goes the other way: it writes batch files.
"""
