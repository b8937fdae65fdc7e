"""
The management commands: read the arguments, call the other rooms, print.

Each file in ``commands`` reads from top to bottom: arguments, ``handle``, report.
``options`` has arguments that several commands share or that are long. ``base`` has
what every command can do, ``loop`` works for ``button_orders_report --loop``, and
``unfinished`` explains which orders a command has left unreported.
"""
