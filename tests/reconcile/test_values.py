from __future__ import annotations

from django.test import SimpleTestCase, override_settings

from django_button_orders.reconcile.values import (
    as_shown,
    find_certain_differences,
    find_differences,
    flatten,
)

OURS = {
    "order_id": "1994",
    "total": 7000,
    "currency": "USD",
    "purchase_date": "2026-11-01T12:00:00Z",
    "customer": {"id": "u-77", "email_sha256": "ab" * 32},
    "line_items": [
        {"identifier": "mug.1", "total": 3000, "quantity": 2, "category": ["Home"]},
        {"identifier": "tea", "total": 4000},
    ],
}


def names(theirs):
    """Return the names of the values that differ for certain from OURS."""
    ours, theirs = flatten(OURS), flatten(theirs)
    return list(as_shown(find_certain_differences(ours, theirs), ours, theirs))


class CertainDifferencesTests(SimpleTestCase):
    def test_same(self):
        assert names(OURS) == []

    def test_what_button_leaves_out_or_adds(self):
        assert names({}) == []
        assert names({"total": None, "status": "open", "ifa": None}) == []

    def test_other_ways_of_writing(self):
        for theirs in (
            {"total": 7000.0},
            {"total": "7000"},
            {"currency": "usd"},
            {"purchase_date": "2026-11-01T12:00:00.000Z"},
            {"purchase_date": "2026-11-01T07:00:00-05:00"},
            {"purchase_date": "2026-11-01T12:00:00"},
            {"customer": {"email_sha256": "AB" * 32}},
        ):
            with self.subTest(theirs=theirs):
                assert names(theirs) == []

    def test_what_is_not_understood(self):
        for theirs in (
            {"total": True},
            {"total": "much"},
            {"total": "NaN"},
            {"total": "sNaN"},
            {"total": "Infinity"},
            {"total": {"amount": 7000}},
            {"purchase_date": "yesterday"},
            {"purchase_date": "2026-13-01T00:00:00Z"},
            {"customer": "u-77"},
            {"line_items": "two"},
            {"line_items": [{"sku": "mug"}]},
            {"line_items": [None]},
        ):
            with self.subTest(theirs=theirs):
                assert names(theirs) == []

    def test_different(self):
        for theirs, expected in (
            ({"total": 6999}, ["total"]),
            ({"total": 0}, ["total"]),
            ({"currency": "EUR"}, ["currency"]),
            ({"order_id": "1995"}, ["order_id"]),
            ({"purchase_date": "2026-11-01T12:00:01Z"}, ["purchase_date"]),
            ({"customer": {"id": "u-78"}}, ["customer.id"]),
        ):
            with self.subTest(theirs=theirs):
                assert names(theirs) == expected

    def test_lines(self):
        mug, tea = OURS["line_items"]
        for lines, expected in (
            ([tea, mug], []),
            ([], ["line_items", "line_items.mug.1", "line_items.tea"]),
            ([mug], ["line_items", "line_items.tea"]),
            ([mug, {"identifier": "x"}], ["line_items.tea", "line_items.x"]),
            ([{**mug, "total": 1, "sku": "x"}, tea], ["line_items.mug.1.total"]),
            # Our list and their text cannot be compared.
            ([{**mug, "category": "Home"}, tea], []),
            ([{"identifier": "mug.1"}, tea], []),
        ):
            with self.subTest(lines=lines):
                assert names({"line_items": lines}) == expected


class DifferencesTests(SimpleTestCase):
    def test_absent_is_different(self):
        ours, theirs = flatten(OURS), flatten({**OURS, "customer": {"id": "u-77"}})

        assert find_differences(ours, theirs) == [("customer", "email_sha256")]


@override_settings(SECRET_KEY="tests")
class ShownTests(SimpleTestCase):
    def show(self, ours, theirs):
        ours, theirs = flatten(ours), flatten(theirs)
        return as_shown(find_differences(ours, theirs), ours, theirs)

    def test_amounts_and_dates_as_they_are(self):
        assert self.show({"total": 7000, "purchase_date": "a"}, {"total": 0}) == {
            "purchase_date": ["a", None],
            "total": [7000, 0],
        }

    def test_hashes_of_all_else(self):
        values = self.show(
            {"customer": {"id": "u-77"}, "btn_ref": "srctok-1"},
            {"customer": {"id": "u-78"}, "btn_ref": "srctok-1 "},
        )

        assert values.keys() == {"customer.id", "btn_ref"}
        for ours, theirs in values.values():
            assert ours.startswith("hash ")
            assert ours != theirs
        assert "u-7" not in str(values)
        assert "srctok" not in str(values)

    def test_hashes_are_of_this_project(self):
        here = self.show({"customer": {"id": "u-77"}}, {})
        with override_settings(SECRET_KEY="another"):
            there = self.show({"customer": {"id": "u-77"}}, {})

        assert here == self.show({"customer": {"id": "u-77"}}, {})
        assert here != there

    def test_hashes_of_stored_differences_stay_valid(self):
        here = self.show({"customer": {"id": "u-77"}}, {})

        assert here == {"customer.id": ["hash e77d12951474b3f3", None]}

    def test_names_that_would_show_a_customer(self):
        values = self.show({"total": {"Ada": "Lovelace"}}, {})

        assert "Lovelace" not in str(values)

    def test_bounds(self):
        lines = [{"identifier": f"{at:03}" + "x" * 500} for at in range(100)]
        values = self.show({"line_items": lines}, {"currency": "€" * 500})

        assert len(values) <= 21
        assert len(str(values)) < 3000
