from __future__ import annotations

import json

import responses
from django.test import TestCase, override_settings
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NewConnectionError

from django_button_orders.delivery.sweep import SweepLimits, report, report_due
from django_button_orders.delivery.troubles import Troubles
from django_button_orders.delivery.verdicts import Result
from django_button_orders.models import ButtonOrder
from tests.utils import NOT_FOUND, OK, add_answer, button_settings, create_row

LOGGER = "django_button_orders.delivery.troubles"
HASH = "ab" * 32


@override_settings(BUTTON_ORDERS=button_settings(CONCURRENCY=1))
class TroublesTestCase(TestCase):
    def setUp(self):
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)

    def answer_by_total(self, **answers):
        """Have Button answer each order as its total says, in cents."""

        def reply(request):
            total = json.loads(request.body).get("total")
            answer = answers.get(f"total_{total}", (200, OK))
            if isinstance(answer, Exception):
                raise answer
            return answer[0], {}, json.dumps(answer[1])

        responses.add_callback("POST", "https://button.test/v1/order", reply)

    def sweep(self):
        troubles = Troubles()
        report_due(using="default", limits=SweepLimits(troubles=troubles))
        return troubles


class LogTests(TroublesTestCase):
    def test_one_line_for_each_sweep(self):
        for number in range(3):
            create_row(order_id=f"refused {number}", total=400)
        create_row(order_id="away", total=503)
        create_row(order_id="wrong", currency="usd")
        create_row(order_id="good")
        self.answer_by_total(total_400=(400, NOT_FOUND), total_503=(503, {}))

        with self.assertLogs("django_button_orders", "WARNING") as logs:
            report_due(using="default")

        assert logs.output == [
            f"WARNING:{LOGGER}:Database default: failed: 3 refused (such as order "
            "refused 0), 1 invalid (order wrong); to be retried: 1 unavailable "
            "(order away)."
        ]

    def test_nothing_failed(self):
        create_row()
        self.answer_by_total()

        with self.assertNoLogs("django_button_orders", "WARNING"):
            report_due(using="default")

    def test_one_order(self):
        row = create_row()
        add_answer("POST", status=400, json=NOT_FOUND)

        with self.assertLogs("django_button_orders", "WARNING") as logs:
            report(row.pk, using="default")

        assert logs.output == [
            f"WARNING:{LOGGER}:Database default: failed: 1 refused (order 1994)."
        ]

    @override_settings(BUTTON_ORDERS=button_settings(API_KEY=""))
    def test_no_key(self):
        create_row()

        with self.assertLogs("django_button_orders", "WARNING") as logs:
            report_due(using="default")

        assert logs.output == [
            f"WARNING:{LOGGER}:Database default: to be retried: 1 unauthorized "
            "(order 1994: BUTTON_ORDERS['API_KEY'] is not set)."
        ]

    def test_nothing_about_the_customer(self):
        create_row(customer={"id": "customer-1", "email_sha256": HASH})
        add_answer("POST", status=400, body=f"customer-1 {HASH} a@example.com")

        with self.assertLogs("django_button_orders", "WARNING") as logs:
            report_due(using="default")

        for secret in ("customer-1", HASH, "example.com", "400"):
            assert secret not in f"{logs.output}"

    def test_told_to_somebody_else(self):
        create_row()
        add_answer("POST", status=400)

        with self.assertNoLogs("django_button_orders", "WARNING"):
            self.sweep()


class DescriptionTests(TroublesTestCase):
    def test_in_buttons_words(self):
        create_row(customer={"id": "customer-1"})
        add_answer("POST", status=400, body="Bad customer-1.")

        troubles = self.sweep()

        assert troubles.describe(Result.FAILED, with_error=True) == (
            "1 refused (order 1994: Button answered 400 to create: Bad [customer])"
        )

    def test_error_of_the_shop_is_left_out(self):
        """It may quote a customer."""
        create_row(currency="usd")

        troubles = self.sweep()

        assert troubles.describe(Result.FAILED, with_error=True) == (
            "1 invalid (order 1994)"
        )

    def test_last_attempt(self):
        create_row()
        ButtonOrder.objects.update(attempts=13)
        add_answer("POST", status=503)

        troubles = self.sweep()

        assert (troubles.count(Result.FAILED), troubles.count(Result.RETRY)) == (1, 0)
        assert troubles.describe(Result.FAILED, with_error=False) == (
            "1 exhausted (order 1994)"
        )
        assert troubles.next_delay is None

    def test_when_the_first_is_tried_again(self):
        for attempts in (3, 0):
            create_row(order_id=f"{attempts}")
            ButtonOrder.objects.filter(order_id=attempts).update(attempts=attempts)
        add_answer("POST", status=503)

        assert 5 <= self.sweep().next_delay <= 6


class ObstacleTests(TroublesTestCase):
    def obstacle(self, **answer):
        create_row()
        add_answer("POST", **answer)
        return self.sweep().obstacle

    def test_not_reached(self):
        refused = NewConnectionError(HTTPConnection("button.test"), "Refused.")
        for error, sentence in (
            (refused, "Button cannot be reached."),
            (
                TimeoutError(),
                "Button cannot be reached: Button did not answer in time.",
            ),
        ):
            with self.subTest(error=error):
                ButtonOrder.objects.all().delete()
                responses.reset()

                assert self.obstacle(body=error) == sentence

    def test_not_available(self):
        assert self.obstacle(status=503, body="Down.") == (
            "Button is not available: Button answered 503 to create: Down."
        )

    def test_button_ends_no_sentence(self):
        for said, sentence in (("Down", "Down."), ("Down!", "Down!"), ("…", "…")):
            with self.subTest(said=said):
                ButtonOrder.objects.all().delete()
                responses.reset()

                obstacle = self.obstacle(status=503, body=said)

                assert obstacle.endswith(f"to create: {sentence}")

    def test_none(self):
        for status in (200, 400, 401):
            with self.subTest(status=status):
                ButtonOrder.objects.all().delete()
                responses.reset()

                assert self.obstacle(status=status) == ""

    def test_in_a_row(self):
        for number, total in enumerate((503, 503, 7000, 503)):
            create_row(order_id=f"{number}", total=total)
        self.answer_by_total(total_503=(503, {}))

        troubles = self.sweep()

        assert (troubles.in_a_row, troubles.has_got_through) == (1, True)
