from __future__ import annotations

from http import HTTPStatus

from django.test import SimpleTestCase

from django_button_orders.client.answers import Answer
from django_button_orders.client.exceptions import NoAnswerError, NotSentError
from django_button_orders.delivery.verdicts import (
    Result,
    Verdict,
    as_exhausted,
    judge,
    judge_retrieve,
    knows_order,
)

OPERATIONS = ("create", "update", "cancel", "retrieve")
OK = {"meta": {"status": "ok"}}
ERROR = {"meta": {"status": "error"}, "error": {"message": "No such order."}}

# What each answer means for each operation, written apart from the code's table.
# A string is the operation that has to follow.
REPORTED = ("reported", "")
CANCELLED = ("cancelled", "")
RETRY = ("retry", "unavailable")
REFUSED = ("failed", "refused")
FINALIZED = ("closed", "finalized")
PAUSE = ("pause", "unauthorized")
NOT_ALLOWED = ("retry", "unauthorized")
SUCCESS = (REPORTED, REPORTED, CANCELLED, "update")
REFUSALS = [400, 402, 405, 406, 410, 411, 413, 414, 415, 418, 422, 428, 431, 451, 499]
TABLE = {
    401: (PAUSE, PAUSE, PAUSE, PAUSE),
    403: (NOT_ALLOWED, FINALIZED, FINALIZED, NOT_ALLOWED),
    404: (REFUSED, "create", CANCELLED, "create"),
    409: ("retrieve", RETRY, RETRY, "create"),
    **dict.fromkeys(REFUSALS, (REFUSED, REFUSED, REFUSED, "create")),
    **dict.fromkeys([408, 425, 429], (RETRY,) * 4),
    **dict.fromkeys([500, 501, 502, 503, 504, 507, 520, 599], (RETRY,) * 4),
    **dict.fromkeys([300, 301, 302, 303, 304, 307, 308, 399], (REFUSED,) * 4),
}


def short(result):
    if isinstance(result, Verdict):
        return result.result.value, result.reason
    return result


class VerdictTestCase(SimpleTestCase):
    def check(self, expected, **answer):
        for operation, result in zip(OPERATIONS, expected, strict=True):
            with self.subTest(operation=operation, **answer):
                assert short(judge(operation, Answer(**answer))) == result


class StatusTests(VerdictTestCase):
    def test_table(self):
        for status, expected in TABLE.items():
            self.check(expected, status_code=status)

    def test_body_does_not_matter(self):
        for status, expected in TABLE.items():
            for data in (OK, ERROR):
                self.check(expected, status_code=status, data=data, is_json=True)

    def test_not_even_html(self):
        for status in TABLE.keys() - {403, 404}:
            self.check(TABLE[status], status_code=status, is_html=True)

    def test_page_of_a_proxy(self):
        """Its 404 does not say that Button lacks the order, which may be open there."""
        self.check((REFUSED, RETRY, RETRY, "create"), status_code=404, is_html=True)

    def test_page_of_a_firewall(self):
        """Its 403 does not say that Button accepts no more changes."""
        self.check(
            (NOT_ALLOWED, RETRY, RETRY, NOT_ALLOWED), status_code=403, is_html=True
        )

    def test_unheard_of(self):
        for status in (600, 700, 999):
            self.check((RETRY,) * 4, status_code=status)


class SuccessTests(VerdictTestCase):
    def test_envelope_says_ok(self):
        for status in (200, 201, 202, 204, 299):
            self.check(SUCCESS, status_code=status, data=OK, is_json=True)

    def test_without_json(self):
        for status in (200, 202, 204):
            self.check(SUCCESS, status_code=status)
            self.check(SUCCESS, status_code=status, body="Accepted")

    def test_envelope_does_not(self):
        wrong = [
            ERROR,
            {},
            {"meta": None},
            {"meta": "ok"},
            {"meta": ["status", "ok"]},
            {"meta": {}},
            {"meta": {"status": "OK"}},
            {"meta": {"status": True}},
            {"status": "ok"},
        ]
        for status in (200, 202):
            for data in wrong:
                self.check((RETRY,) * 4, status_code=status, data=data)

    def test_json_that_is_no_envelope(self):
        self.check((RETRY,) * 4, status_code=200, body="[]", is_json=True)

    def test_html(self):
        self.check((RETRY,) * 4, status_code=200, is_html=True)
        self.check((RETRY,) * 4, status_code=200, is_html=True, data=OK)


class RetrieveTests(SimpleTestCase):
    """What a retrieve says about an order if no operation follows."""

    def test_each_answer(self):
        answers = [
            ({"status_code": 200, "data": OK, "is_json": True}, REPORTED, True),
            ({"status_code": 404, "data": ERROR, "is_json": True}, REPORTED, False),
            # A proxy has answered.
            ({"status_code": 404}, RETRY, None),
            ({"status_code": 404, "is_json": True, "is_html": True}, RETRY, None),
            ({"status_code": 400}, REFUSED, None),
            ({"status_code": 302}, REFUSED, None),
            ({"status_code": 401}, PAUSE, None),
            ({"status_code": 403}, NOT_ALLOWED, None),
            ({"status_code": 429}, RETRY, None),
            ({"status_code": 200, "is_html": True}, RETRY, None),
        ]
        for values, expected, is_known in answers:
            with self.subTest(**values):
                answer = Answer(**values)

                assert short(judge_retrieve(answer)) == expected
                assert knows_order(answer) is is_known

    def test_no_answer(self):
        assert short(judge_retrieve(NoAnswerError())) == RETRY
        assert knows_order(NoAnswerError()) is None


class NoAnswerTests(SimpleTestCase):
    def test_retried(self):
        for operation in OPERATIONS:
            for error in (NotSentError("No."), NoAnswerError("No.")):
                with self.subTest(operation=operation, error=error):
                    verdict = judge(operation, error)

                    assert short(verdict) == RETRY
                    assert verdict.error == "No."

    def test_only_the_unsent_is_definite(self):
        assert judge("create", NotSentError()).is_definite is True
        assert judge("create", NoAnswerError()).is_definite is False


class DefiniteTests(SimpleTestCase):
    """Whether Button may have acted without our knowing."""

    def is_definite(self, status, **answer):
        return judge("create", Answer(status_code=status, **answer)).is_definite

    def test_definite(self):
        for status in (200, 301, 400, 401, 403, 404, 408, 425, 429):
            with self.subTest(status=status):
                assert self.is_definite(status) is True

    def test_not_definite(self):
        for status in (500, 502, 503, 504, 599):
            with self.subTest(status=status):
                assert self.is_definite(status) is False

    def test_strange_success_is_not_definite(self):
        assert self.is_definite(200, data=ERROR) is False
        assert self.is_definite(200, is_html=True) is False


class RetryAfterTests(SimpleTestCase):
    def test_passed_on(self):
        for status in (408, 425, 429, 500, 503):
            for operation in OPERATIONS:
                with self.subTest(status=status, operation=operation):
                    answer = Answer(status_code=status, retry_after=7.0)

                    assert judge(operation, answer).retry_after == 7.0

    def test_absent(self):
        assert judge("create", Answer(status_code=429)).retry_after is None


class ErrorTests(SimpleTestCase):
    def error(self, status, operation="create", **answer):
        return judge(operation, Answer(status_code=status, **answer)).error

    def test_in_buttons_words(self):
        error = self.error(400, data=ERROR)

        assert error == "Button answered 400 to create: No such order."

    def test_without_words(self):
        for data in (
            None,
            {},
            {"error": None},
            {"error": {"message": 5}},
            {"error": []},
        ):
            with self.subTest(data=data):
                assert self.error(422, data=data).endswith("create: without a message")

    def test_words_without_an_envelope(self):
        error = self.error(400, body="Order is\n too old.\n")

        assert error == "Button answered 400 to create: Order is too old."

    def test_words_in_place_of_an_object(self):
        assert self.error(400, data={"error": "No."}).endswith(": No.")

    def test_operation(self):
        assert "403 to cancel" in self.error(403, "cancel")

    def test_redirect(self):
        error = self.error(302)

        assert "302" in error
        assert "never followed. Check BASE_URL." in error

    def test_html(self):
        error = self.error(200, is_html=True)

        assert "200" in error
        assert "a proxy answered, not Button" in error

    def test_none_after_success(self):
        assert self.error(200) == ""

    def test_every_status_has_one(self):
        for status in (*TABLE, 600):
            for operation in OPERATIONS:
                result = judge(operation, Answer(status_code=status))
                if isinstance(result, Verdict) and result.result != Result.CANCELLED:
                    with self.subTest(status=status, operation=operation):
                        assert str(int(status)) in result.error


class ExhaustedTests(SimpleTestCase):
    def test_fails(self):
        last = judge("create", Answer(status_code=HTTPStatus.BAD_GATEWAY))

        verdict = as_exhausted(last)

        assert short(verdict) == ("failed", "exhausted")
        assert verdict.error.startswith("Gave up after all attempts. The last one: ")
        assert "502" in verdict.error
        assert verdict.is_definite is False
