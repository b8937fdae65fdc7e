from __future__ import annotations

import json
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.test import SimpleTestCase

from django_button_orders import Customer, OrderReport, to_minor_units
from django_button_orders.report.objects import clean_line_items
from django_button_orders.report.privacy import (
    describe_exception,
    describe_for_author,
    describe_for_list,
    describe_for_log,
    without_quotes,
)
from django_button_orders.report.validation import make_storable


class UnspeakableError(Exception):
    def __str__(self):
        raise RuntimeError("No words.")


def caught(exc):
    """Return an exception with its traceback, as an except clause gets it."""
    with pytest.raises(type(exc)) as info:
        raise exc
    return info.value


class DescribeExceptionTests(SimpleTestCase):
    def test_says_what_where_and_why(self):
        text = describe_exception(
            caught(LookupError("No line.")), "Building the report"
        )

        assert text.startswith(
            "Building the report raised LookupError at report/test_pri"
        )
        assert text.endswith(": No line.")

    def test_never_raised(self):
        assert (
            describe_exception(OSError("x"), "Reading") == "Reading raised OSError: x"
        )

    def test_validation_error(self):
        exc = ValidationError("Enter a %(what)s.", params={"what": "total"})

        assert describe_exception(exc, "Building") == "Building: Enter a total."

    def test_validation_error_of_the_shop(self):
        exc = caught(ValidationError({"name": "Jane has no address."}))

        text = describe_exception(exc, "Building")

        assert text.startswith("Building raised ValidationError at report/test_pri")
        assert text.endswith(": name: Jane has no address.")

    def test_place_is_that_of_the_shop(self):
        """The shop's line is to be corrected, and not the rule that refused a value."""
        with pytest.raises(ValidationError) as info:
            to_minor_units(Decimal("7.005"), "USD")
        raised = caught(info.value)

        for text in (
            describe_for_log(info.value),
            describe_for_list(raised, "Shop.build"),
        ):
            assert "ValidationError at report/test_privacy.py:" in text

    def test_place_is_not_in_an_installed_package(self):
        """The line of Django that has found no order says nothing to the author."""
        for error, fail in (
            (User.DoesNotExist, lambda: User.objects.none().get()),
            (json.JSONDecodeError, lambda: json.loads("{")),
        ):
            with pytest.raises(error) as info:
                fail()

            assert " at report/test_privacy.py:" in describe_for_log(info.value)

    def test_place_in_an_installed_package_alone(self):
        with pytest.raises(User.DoesNotExist) as info:
            User.objects.none().get()
        inner = info.value.with_traceback(info.value.__traceback__.tb_next)

        assert " at models/" in describe_for_log(inner)

    def test_place_of_an_error_of_this_package_alone(self):
        with pytest.raises(ValidationError) as info:
            to_minor_units(Decimal("7.005"), "USD")
        # The traceback without the test's frame, as if the package had called it.
        inner = info.value.with_traceback(info.value.__traceback__.tb_next)

        assert describe_for_log(inner).startswith("ValidationError at report/money.py:")

    def test_without_quotes(self):
        for message in ("Jane", "Jane: has\n raised Cain: 7", ""):
            for exc in (LookupError(message), ValidationError(message)):
                with self.subTest(message=message, exc=exc):
                    text = describe_exception(caught(exc), "Shop.build")
                    shown = without_quotes(f"Gave up. The last one: {text}")

                    assert "Jane" not in shown
                    assert type(exc).__name__ in shown
                    assert " at report/test_privacy.py:" in shown

        assert without_quotes("Shop.build raised OSError: Jane") == (
            "Shop.build raised OSError."
        )

    def test_odd_names_of_types_and_folders(self):
        """A colon or a space in them does not keep the message on the page."""
        for name in ("Shop.Error", "Shop Error", "shop:Error"):
            for path in ("shop/2026-12-01T10:00/x.py", "shop/x\ny.py", "rule: 7"):
                kind = type(name, (Exception,), {})
                with self.subTest(name=name, path=path):
                    code = compile("raise kind('Jane: 7')", path, "exec")
                    with pytest.raises(kind) as info:
                        exec(code, {"kind": kind})  # noqa: S102 - it sets the path
                    text = describe_exception(info.value, "Shop.build")

                    assert text.endswith(": Jane: 7")
                    assert "Jane" not in without_quotes(text)

    def test_nothing_is_quoted(self):
        with pytest.raises(ValidationError) as info:
            OrderReport(order_id="1", total=-1, currency="USD", purchase_date=None)
        for error in (
            "",
            describe_exception(info.value, "Shop.build"),
            "Button answered 400 to create: Unknown line: 7",
            "The worker raised nothing at all.",
        ):
            with self.subTest(error=error):
                assert without_quotes(error) == error

    def test_validation_error_of_fields(self):
        with pytest.raises(ValidationError) as info:
            OrderReport(order_id="é", total=-1, currency="USD", purchase_date=None)

        text = describe_exception(info.value, "Building")

        assert text.startswith("Building: order_id: Enter 1 to 255 printable")
        assert "total: Enter an integer from 0 to 2147483647." in text
        assert "purchase_date: This field is required." in text

    def test_personal_data(self):
        for address in ("user@example.com", "user%40example.com"):
            for exc in (KeyError(address), ValidationError(f"No {address}")):
                with self.subTest(exc=exc):
                    text = describe_exception(caught(exc), f"Building for {address}")

                    assert "user" not in text
                    assert "[e-mail]" in text

    def test_personal_data_of_a_customer(self):
        with pytest.raises(ValidationError) as info:
            Customer(id="user@example.com")

        assert "user" not in describe_exception(info.value, "Building")

    def test_long_message(self):
        text = describe_exception(caught(ValueError("a b " * 10_000)), "Building")

        assert len(text) == 2000

    def test_exception_that_cannot_be_shown(self):
        text = describe_exception(caught(UnspeakableError()), "Building")

        assert "Building" in text
        assert "UnspeakableError" in text


class DescribeForLogTests(SimpleTestCase):
    def test_without_the_message(self):
        text = describe_for_log(caught(ValueError("user@example.com")))

        assert text.startswith("ValueError at report/test_privacy.py:")
        assert "user" not in text

    def test_last_frame_counts(self):
        with pytest.raises(ValidationError) as info:
            Customer(id=1.5)

        assert "ValidationError at report/" in describe_for_log(info.value)

    def test_exception_that_cannot_be_shown(self):
        assert describe_for_log(UnspeakableError()) == "UnspeakableError"


class ClipTests(SimpleTestCase):
    def test_storable(self):
        table = [("a\0b", r"a\x00b"), ("\ud800", r"\ud800"), ("é☕", "é☕"), ("", "")]
        for text, stored in table:
            with self.subTest(text=text):
                assert make_storable(text) == stored

    def test_length(self):
        assert make_storable("é " * 5000) == "é " * 1000


class DescribeForAuthorTests(SimpleTestCase):
    def describe(self, function):
        with pytest.raises(Exception) as info:  # noqa: PT011 - any exception
            function()
        return describe_for_author(info.value, "Shop.build")

    def test_message_and_place_of_our_rules(self):
        text = self.describe(lambda: to_minor_units(Decimal("0.001"), "USD"))

        assert text.startswith("Shop.build at report/test_privacy.py:")
        assert ": Amounts in USD can have at most 2 decimal places." in text

    def test_position_of_a_line(self):
        def build(position):
            lines = [{"identifier": 1, "total": 5}] * 2
            lines[position] = {"identifier": 1}
            clean_line_items(lines)

        first, second = self.describe(lambda: build(0)), self.describe(lambda: build(1))

        assert first == second
        assert ": A line: total: This field is required." in first

    def test_without_a_line_of_the_shop(self):
        error = ValidationError("Enter a total.")

        assert describe_for_author(error, "Shop.build") == "Shop.build: Enter a total."

    def test_message_of_the_shop(self):
        def build():
            raise ValidationError("Jane has no address.")

        text = self.describe(build)

        assert text.startswith("Shop.build: ValidationError at report/test_priv")
        assert "Jane" not in text
