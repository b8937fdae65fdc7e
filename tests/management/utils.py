from __future__ import annotations

from io import StringIO

from django.core.management import call_command
from django.core.management.base import CommandError

from django_button_orders.models import Checkpoint
from django_button_orders.models.checkpoints import FIRST_AT_WORK


class Terminal(StringIO):
    """A file that says that it is a terminal."""

    def isatty(self):
        return True


def call(name, *arguments):
    """Run a command; return what it printed, what it complained of, and its error."""
    out, err, error = StringIO(), StringIO(), ""
    try:
        call_command(name, *arguments, stdout=out, stderr=err)
    except CommandError as exc:
        error = str(exc)
    return out.getvalue(), err.getvalue(), error


def has_checkpoints():
    """Return whether there is a run that could be resumed."""
    return Checkpoint.objects.exclude(name=FIRST_AT_WORK).exists()
