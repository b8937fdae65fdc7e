from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.test import SimpleTestCase
from hypothesis import given, settings
from hypothesis import strategies as st

from django_button_orders import LineItem, spread

totals = st.lists(st.integers(0, 2**31 - 1), max_size=30)


@st.composite
def vouchers(draw, lines=totals):
    """An amount, and lines that are large enough for it."""
    over = draw(lines)
    return draw(st.integers(0, max(sum(over), 0))), over


class SpreadTests(SimpleTestCase):
    def test_table(self):
        table = [
            (500, [1000, 2000], [167, 333]),
            (500, [2000, 1000], [333, 167]),
            (100, [1000, 1000, 1000], [34, 33, 33]),
            (200, [1000, 1000, 1000], [67, 67, 66]),
            (3000, [1000, 2000], [1000, 2000]),
            (2999, [1000, 2000], [1000, 1999]),
            (1, [1, 1, 1], [1, 0, 0]),
            (2, [1, 0, 1, 1], [1, 0, 1, 0]),
            (0, [1000, 2000], [0, 0]),
            (7, [7], [7]),
            (0, [0, 0], [0, 0]),
            (0, [], []),
        ]
        for amount, over, shares in table:
            with self.subTest(amount=amount, over=over):
                found = spread(amount, over=over)

                assert found == shares
                assert all(type(share) is int for share in found)

    def test_line_items(self):
        lines = [
            LineItem(identifier="MUG", amount=500, quantity=2),
            LineItem(identifier="TEA", total=2000),
        ]

        assert spread(500, over=lines) == [167, 333]
        assert spread(500, over=[line.as_dict() for line in lines]) == [167, 333]

    def test_invalid_dict(self):
        lines = [LineItem(identifier="MUG", total=500), {"identifier": "TEA"}]

        with pytest.raises(ValidationError, match=r"Line 2: total: This field"):
            spread(500, over=lines)

    def test_iterator(self):
        assert spread(500, over=iter([1000, 2000])) == [167, 333]

    def test_discount_among_the_lines(self):
        """It gets no share, and lowers what can be spread."""
        assert spread(700, over=[1000, 2000, -500]) == [233, 467, 0]
        assert spread(2500, over=[1000, 2000, -500]) == [833, 1667, 0]
        assert spread(0, over=[100, -500]) == [0, 0]

    @settings(deadline=None)
    @given(vouchers())
    def test_sums_exactly(self, voucher):
        amount, over = voucher

        assert sum(spread(amount, over=over)) == amount

    @settings(deadline=None)
    @given(vouchers(st.lists(st.integers(-(10**6), 10**6), max_size=30)))
    def test_never_negative(self, voucher):
        amount, over = voucher
        shares = spread(amount, over=over)

        assert sum(shares) == amount
        for share, total in zip(shares, over, strict=True):
            assert 0 <= share <= max(total, 0)

    @settings(deadline=None)
    @given(vouchers())
    def test_proportional(self, voucher):
        """A share is less than one minor unit from the exact proportion."""
        amount, over = voucher

        for share, total in zip(spread(amount, over=over), over, strict=True):
            assert abs(share * sum(over) - amount * total) < max(sum(over), 1)

    @settings(deadline=None)
    @given(vouchers())
    def test_largest_remainders(self, voucher):
        """No line that was rounded up had a smaller remainder than one that was not."""
        amount, over = voucher
        whole = sum(over) or 1
        shares = spread(amount, over=over)
        rests = [
            (amount * total % whole, share > amount * total // whole)
            for share, total in zip(shares, over, strict=True)
        ]
        up = [rest for rest, is_up in rests if is_up]
        down = [rest for rest, is_up in rests if not is_up]

        assert not up or not down or min(up) >= max(down)

    @settings(deadline=None)
    @given(vouchers())
    def test_stable(self, voucher):
        """Equal lines get equal shares, or the earlier ones a minor unit more."""
        amount, over = voucher
        shares = spread(amount, over=over)

        assert spread(amount, over=over) == shares
        by_total = {}
        for share, total in zip(shares, over, strict=True):
            by_total.setdefault(total, []).append(share)
        for equals in by_total.values():
            assert equals == sorted(equals, reverse=True)
            assert equals[0] - equals[-1] <= 1

    def test_exact_beyond_what_a_float_holds(self):
        assert spread(2 * 10**28 + 1, over=[10**29, 10**29]) == [10**28 + 1, 10**28]

    def test_larger_than_the_lines(self):
        for amount, over in (
            (3001, [1000, 2000]),
            (1, []),
            (1, [0, 0]),
            (501, [1000, -500]),
            (1, [-1]),
            (-1, [1000]),
        ):
            with (
                self.subTest(amount=amount, over=over),
                pytest.raises(ValidationError, match="cannot be spread") as caught,
            ):
                spread(amount, over=over)

            assert f"{amount} cannot" in caught.value.messages[0]
            assert f"sum to {sum(over)}." in caught.value.messages[0]

    def test_wrong_type(self):
        for wrong in (5.0, Decimal(5), True, "5", None, [5]):
            for amount, over in ((wrong, [10]), (5, [10, wrong])):
                with (
                    self.subTest(amount=amount, over=over),
                    pytest.raises(ValidationError, match="integer in minor units"),
                ):
                    spread(amount, over=over)

    def test_of_no_plausible_size(self):
        with pytest.raises(ValidationError, match="finite amount"):
            spread(1, over=[10**5000])
