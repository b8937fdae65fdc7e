from __future__ import annotations

from django.test import SimpleTestCase

from django_button_orders.admin.compare import compare


def found(before, after):
    return [
        (line.name, line.before, line.after, line.kind)
        for line in compare(before, after)
    ]


class CompareTests(SimpleTestCase):
    def test_kinds(self):
        before = {"total": 7000, "currency": "USD", "channel": "app"}
        after = {"currency": "USD", "total": 6500, "btn_ref": "srctok-1"}

        assert found(before, after) == [
            ("currency", '"USD"', '"USD"', "same"),
            ("total", "70.00 USD", "65.00 USD", "changed"),
            ("btn_ref", None, '"srctok-1"', "added"),
            ("channel", '"app"', None, "removed"),
        ]

    def test_absent_and_empty(self):
        assert found({"a": None, "b": [], "c": {}, "d": ""}, {}) == []

    def test_zero_and_false(self):
        assert found({"a": 0}, {"a": False}) == [("a", "0", "false", "changed")]

    def test_types(self):
        assert found({"a": 7000}, {"a": "7000"}) == [("a", "7000", '"7000"', "changed")]

    def test_amounts(self):
        for amount, currency, text in (
            (7000, "JPY", "7,000 JPY"),
            (7000, "kwd", "7.000 KWD"),
            (7000, "XXQ", "7000 XXQ"),
            (7000, ["USD"], "7000"),
            (70.5, "USD", "70.5"),
            (True, "USD", "true"),
            (10**40, "USD", str(10**40)),
        ):
            with self.subTest(amount=amount, currency=currency):
                payload = {"currency": currency, "line_items": [{"total": amount}]}

                assert ("line_items / 1 / total", None, text, "added") in found(
                    {}, payload
                )

    def test_decimals_are_no_cents(self):
        payload = {"currency": "USD", "total": 70, "total_as_decimal": True}

        assert ("total", None, "70", "added") in found({}, payload)

    def test_numbers(self):
        assert found({"a": 70}, {"a": 70.0}) == [("a", "70", "70.0", "same")]

    def test_moments(self):
        utc, chicago = "2026-11-01T12:00:00Z", "2026-11-01T06:00:00-06:00"
        [line] = compare({"a": utc}, {"a": chicago})
        assert line.kind == "same"
        for other in (
            "2026-11-01T12:00:01Z",
            "2026-11-01T12:00:00",
            "2026-99-01T12:00Z",
        ):
            with self.subTest(other=other):
                [line] = compare({"a": utc}, {"a": other})

                assert line.kind == "changed"

    def test_nested(self):
        before = {"customer": {"id": "1", "is_new": True}}
        after = {"customer": {"id": "1", "is_new": False}}

        assert found(before, after) == [
            ("customer / id", '"1"', '"1"', "same"),
            ("customer / is_new", "true", "false", "changed"),
        ]

    def test_lines_by_identifier(self):
        pot = {"identifier": "pot", "total": 1}
        mug = {"identifier": "mug", "total": 2}

        lines = found({"line_items": [pot, mug]}, {"line_items": [mug]})

        assert [line[3] for line in lines] == ["same", "same", "removed", "removed"]
        assert lines[2][0] == "line_items / pot / identifier"

    def test_lines_by_number(self):
        for lines in ([{"total": 1}], [{"identifier": "a"}, {"identifier": "a"}]):
            with self.subTest(lines=lines):
                names = [line[0] for line in found({}, {"line_items": lines})]

                assert names[0].startswith("line_items / 1 / ")
                assert len(names) == len(set(names))

    def test_lists(self):
        [line] = compare({"category": ["a", "b"]}, {"category": ["b", "a"]})

        assert (line.before, line.kind) == ('["a", "b"]', "changed")

    def test_what_fits_on_no_page(self):
        deep: dict[str, object] = {}
        for _ in range(100_000):
            deep = {"a": deep, "b": 1}
        [line] = compare({}, {"a": "x" * 5000})
        assert line.after == f'"{"x" * 999} …'
        [line] = compare({}, {"a": "\ud800"})
        assert line.after == '"?"'

        assert len(compare({}, deep)) == 7
