"""
The management commands: read the arguments, call the other rooms, print.

Each file in ``commands`` reads from top to bottom: arguments, ``handle``, report.
``options`` has arguments that several commands share or that are long. ``base`` has
what every command can do, ``loop`` works for ``button_orders_report --loop``, and
``reporting`` reports rows for two commands. ``unfinished`` explains which orders wait
for a person. ``exit_statuses`` has the table of exit statuses, for ``--help`` and the
documentation. ``qa_sheet`` is what ``button_orders_preflight --live`` prints.
"""
