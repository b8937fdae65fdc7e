from __future__ import annotations

from io import BytesIO

from django_button_orders.files.jsonl import read_jsonl
from django_button_orders.files.lines import Lines, RejectWriter
from django_button_orders.files.tables import OrderIds, Table


def as_bytes(content):
    return content if isinstance(content, bytes) else content.encode()


def read_json(content):
    return list(read_jsonl(Lines(BytesIO(as_bytes(content)))))


def open_table(content, **options):
    options = {"names": {}, "ignore_unknown": False, **options}
    return Table(Lines(BytesIO(as_bytes(content))), **options)


def read_table(content, **options):
    ids = OrderIds(open_table(content, **options))
    entries = list(open_table(content, **options).entries(ids))
    ids.close()
    return entries


def reports(entries):
    return [entry.report for entry in entries if entry.report is not None]


def errors(entries):
    return [error for entry in entries for error in entry.errors]


def rejected(entries, head=()):
    """Return the lines of rejected orders, as they are written."""
    file = BytesIO()
    rejects = RejectWriter(file, head)
    for entry in entries:
        if entry.report is None:
            rejects.add(entry.lines)
    return file.getvalue()
