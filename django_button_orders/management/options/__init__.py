"""
The arguments of the commands: add, parse and refuse them.

Read ``values`` first: it parses single values and refuses unknown ones. The other
files each belong to a command (``backfill``, ``preflight`` and its ``live``,
``reconcile``), or to the two that select rows (``selection``: report and retry).
"""
