from __future__ import annotations

import gzip
from contextlib import ExitStack
from io import BytesIO

import pytest
from django.test import SimpleTestCase

from django_button_orders.files.forms import BLOCK, UnreadableFileError, open_plain
from tests.files.test_backfill import Pipe

TEXT = "order_id;Größe\n1;€\n"


class Trickle(Pipe):
    """A pipe that gives a byte at a time."""

    def read1(self, size=-1):
        return super().read1(1)


class FormTests(SimpleTestCase):
    def setUp(self):
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)

    def open(self, content, stream=BytesIO, **options):
        return open_plain(stream(content), self.stack, **options)

    def refused(self, content, **options):
        with pytest.raises(UnreadableFileError) as caught:
            self.open(content, **options)
        return str(caught.value)

    def test_forms(self):
        for content, encoding in (
            (TEXT.encode(), ""),
            (TEXT.encode(), "UTF8"),
            (TEXT.encode("utf-16"), ""),
            (b"\xfe\xff" + TEXT.encode("utf-16-be"), ""),
            (TEXT.encode("utf-16-le"), ""),
            (TEXT.encode("utf-16-be"), ""),
            (TEXT.encode("utf-32"), ""),
            (TEXT.encode("cp1252"), "cp1252"),
            (TEXT.replace("\n", "\r").encode(), ""),
            (TEXT.replace("\n", "\r").encode("mac-roman"), "mac-roman"),
            (gzip.compress(TEXT.encode()), ""),
            (gzip.compress(TEXT.encode("utf-16")), ""),
        ):
            for stream in (BytesIO, Pipe, Trickle):
                with self.subTest(content=content, stream=stream):
                    plain = self.open(content, stream, encoding=encoding)

                    assert plain.stream.read().decode() == TEXT
                    assert plain.start.startswith(b"order_id")
                    if not content.startswith(b"\x1f"):
                        assert self.there_and_back(plain) in (
                            content,
                            TEXT.encode("utf-16"),
                        )

    def there_and_back(self, plain):
        """Return the text in the form of its file, encoded in pieces."""
        encode = plain.form.encoder()
        raw = TEXT.encode()
        return b"".join(encode(raw[at : at + 1]) for at in range(len(raw)))

    def test_line_ends_that_are_left_alone(self):
        for end in ("\n", "\r\n", "\r\r\n"):
            with self.subTest(end=end):
                content = TEXT.replace("\n", end).encode()

                assert self.open(content).stream.read() == content

    def test_line_feed_in_a_cell_of_a_mac(self):
        content = b'order_id\r"a\nb"\r'

        assert self.open(content).stream.read() == b'order_id\n"a\nb"\n'

    def test_characters_over_the_end_of_a_block(self):
        text = "order_id\n" + "€" * BLOCK

        for encoding in ("utf-8-sig", "utf-16", "cp1252"):
            with self.subTest(encoding=encoding):
                plain = self.open(text.encode(encoding), encoding=encoding)

                assert plain.stream.read().decode() == text

    def test_wrong_encoding(self):
        for content, options in (
            (b"order_id\n\x81", {"encoding": "cp1252"}),
            (b"order_id\n\xff", {"encoding": "ascii"}),
            (TEXT.encode("utf-16-le"), {"encoding": "utf-16"}),
            (TEXT.encode(), {"encoding": "idna"}),
            (TEXT.encode(), {"encoding": "punycode"}),
            (TEXT.encode("utf-16")[:-1], {}),
        ):
            with self.subTest(content=content):
                reason = self.refused(content, **options)

                assert "is not valid" in reason
                assert "--encoding" in reason

    def test_empty(self):
        for content in (b"", b"\n \r\n", b"\xef\xbb\xbf", gzip.compress(b"")):
            with self.subTest(content=content):
                assert self.refused(content) == "The file is empty."

    def test_markup(self):
        for text in ("<html>", "\n <?xml", "\ufeff<table>"):
            for encoding in ("utf-8", "utf-16"):
                with self.subTest(text=text, encoding=encoding):
                    assert "HTML or XML" in self.refused(text.encode(encoding))
