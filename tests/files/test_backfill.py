from __future__ import annotations

import json
from io import BytesIO

import pytest
from django.test import TestCase, override_settings

from django_button_orders.files.backfill import FileBackfill
from django_button_orders.files.forms import UnreadableFileError
from django_button_orders.files.lines import LONGEST_LINE
from django_button_orders.models import ButtonOrder
from django_button_orders.operations.batches import LARGEST_BATCH
from tests.utils import button_settings, create_row

HEAD = "order_id,total,currency,purchase_date\n"


class Pipe(BytesIO):
    """A stream that can be read only once."""

    def seekable(self):
        return False

    def seek(self, *args):
        raise OSError("Illegal seek")


def json_lines(*order_ids):
    return "".join(
        json.dumps(
            {
                "order_id": order_id,
                "total": 1,
                "currency": "USD",
                "purchase_date": "2026-11-01T12:00:00Z",
            }
        )
        + "\n"
        for order_id in order_ids
    ).encode()


def rows(*order_ids):
    return "".join(f"{each},1,USD,2026-11-01T12:00:00Z\n" for each in order_ids)


@override_settings(BUTTON_ORDERS=button_settings())
class FileBackfillTests(TestCase):
    def begin(self, stream, **options):
        if isinstance(stream, bytes):
            stream = BytesIO(stream)
        return FileBackfill(stream=stream, using="default", **options)

    def test_older_than_what_is_saved_meanwhile(self):
        run = self.begin(json_lines("1", "2"), batch_size=1).run()
        next(run)
        new = create_row(order_id="new")
        list(run)

        # A database's clock may count in milliseconds.
        rows = ButtonOrder.objects.due()
        assert rows.filter(next_attempt_at__lte=new.next_attempt_at).count() == 3

    def test_reads_no_more_than_a_batch(self):
        stream = BytesIO(json_lines("1", "2", "3"))
        run = self.begin(stream, batch_size=2).run()

        next(run)

        assert stream.tell() == len(json_lines("1", "2"))

    def test_table_that_can_be_read_once(self):
        complaints = []
        content = f"\n{HEAD}{rows('1', '2', '1')}"

        backfill = self.begin(Pipe(content.encode()), complain=complaints.append)
        list(backfill.run())

        assert backfill.counts == {"created": 1, "invalid": 2}
        assert [text[:7] for text in complaints] == ["line 3:", "line 5:"]

    def test_table_whose_first_line_is_too_long(self):
        stream = Pipe(b"x" * (LONGEST_LINE + 1) + b"\n")

        with pytest.raises(UnreadableFileError, match="cannot be read"):
            list(self.begin(stream).run())

    def test_told_to_end_while_a_table_is_read_first(self):
        """A table that was not read to its end writes no rows."""
        looks = iter([False, False])
        content = f"{HEAD}{rows(*range(9))}".encode()

        run = self.begin(BytesIO(content), is_stopped=lambda: next(looks, True)).run()

        assert list(run) == []
        assert not ButtonOrder.objects.exists()

    def test_largest_batch(self):
        assert self.begin(b"", batch_size=10**9).batch_size == LARGEST_BATCH

    def test_two_orders_in_one_batch_with_an_id(self):
        backfill = self.begin(json_lines("1", "1"))
        list(backfill.run())

        assert backfill.counts == {"created": 1, "already_there": 1}
        assert backfill.seen == 2

    def test_keeps_the_first_reasons(self):
        backfill = self.begin(b"{x\n" * 30)
        list(backfill.run())

        assert backfill.counts == {"invalid": 30}
        assert len(backfill.errors) == 10
        assert backfill.errors[0].startswith("line 1: ")

    @override_settings(USE_TZ=False)
    def test_without_time_zones(self):
        list(self.begin(json_lines("1")).run())

        [row] = ButtonOrder.objects.due()
        payload = row.as_report().as_payload()
        assert payload["purchase_date"] == "2026-11-01T12:00:00Z"
