"""
The exit statuses of the commands: one table for ``--help``, the code and the docs.

``exit_statuses_of`` returns those of a command. A command that gets another exit
status needs a line here; ``--help`` and the documentation print what is here.
"""

from __future__ import annotations

from collections.abc import Mapping

DONE = 0
NOT_DONE = 1
# Only ``button_orders_status`` has it: a monitor must not take "unknown" for "wrong".
UNKNOWN = 2
# argparse ends every command with it.
USAGE = 2
# A shell adds the number of the signal to it.
SIGNAL = 128
CTRL_C = 130
SIGTERM = 143

# These hold for every command, unless its own table says something else.
COMMON: Mapping[int, str] = {
    USAGE: "An option is unknown, or its value is invalid.",
    CTRL_C: "Ctrl-C ended the command at once.",
    SIGTERM: "SIGTERM ended the command at once.",
}

# Of each command: an exit status, and what has happened.
EXIT_STATUSES: Mapping[str, Mapping[int, str]] = {
    "button_orders_backfill": {
        DONE: "Each selected order has a Button order. With --now, each new one was "
        "also reported.",
        NOT_DONE: "An order is invalid, an --order-id was not found, the file cannot "
        "be read, or another error occurred. With --now, also: an order failed or is "
        "still pending.",
        CTRL_C: "Ctrl-C interrupted the command. Finished batches are kept.",
        SIGTERM: "SIGTERM interrupted the command. Finished batches are kept.",
    },
    "button_orders_erase": {
        DONE: "The personal data of all found orders was erased, or had been before. "
        "With --dry-run: orders were found.",
        NOT_DONE: "No Button order was found, an --order-id is unknown, the command "
        "was interrupted, or another error occurred.",
        CTRL_C: "Ctrl-C ended the command at once. Finished orders stay erased.",
        SIGTERM: "SIGTERM ended the command at once. Finished orders stay erased.",
    },
    "button_orders_explain": {
        DONE: "The order was explained.",
        NOT_DONE: "No Button order has the ID, or several have it. With --ask, also: "
        "Button did not answer, and the record is explained.",
    },
    "button_orders_export": {
        DONE: "The file has all orders of the period.",
        NOT_DONE: "An order is not in the file, no file was written, or another error "
        "occurred.",
    },
    "button_orders_preflight": {
        DONE: "Nothing is wrong. There may be findings that are worth a look. With "
        "--live: each step went as Button's guide says.",
        NOT_DONE: "A finding is wrong, no order matches, an --order-id was not found, "
        "or another error occurred. With --live: a step failed, or Button shows "
        "something else than was sent.",
        CTRL_C: "Ctrl-C ended the command. With --live, the order at Button was "
        "cancelled first.",
        SIGTERM: "SIGTERM ended the command. With --live, the order at Button was "
        "cancelled first.",
    },
    "button_orders_prune": {
        DONE: "Everything older than the retention periods was pruned.",
        NOT_DONE: "The command was interrupted, or another error occurred.",
    },
    "button_orders_reconcile": {
        DONE: "All compared orders agree or will be reported.",
        NOT_DONE: "A difference is not fixed, an order failed or was not compared, an "
        "--order-id was not found, the command was interrupted, or another error "
        "occurred.",
    },
    "button_orders_report": {
        DONE: "All selected orders were reported, or none was due. With --loop: "
        "SIGTERM or Ctrl-C stopped the command.",
        NOT_DONE: "An order failed or is still pending after its attempt, an "
        "--order-id was not found, the command was interrupted, or another error "
        "occurred.",
    },
    "button_orders_retry": {
        DONE: "The selected orders are due again, or none matched. With --resume: the "
        "account is no longer paused.",
        NOT_DONE: "An --order-id is unknown or has not failed, the command was "
        "interrupted, or another error occurred.",
    },
    "button_orders_sandbox": {
        DONE: "Ctrl-C or SIGTERM stopped the sandbox.",
        NOT_DONE: "The port cannot be used, or an option has an invalid value.",
    },
    "button_orders_status": {
        DONE: "No given limit is exceeded, and no ping failed.",
        NOT_DONE: "A given limit is exceeded, or a ping failed.",
        UNKNOWN: "The status is unknown: the database does not answer, 'migrate' has "
        "not run, the settings have an error, or an option is invalid.",
    },
}


def exit_statuses_of(command: str) -> dict[int, str]:
    """Return the exit statuses of a command, each with what has happened."""
    found = {**COMMON, **EXIT_STATUSES.get(command, {})}
    return dict(sorted(found.items()))
