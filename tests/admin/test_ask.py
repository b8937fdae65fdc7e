from __future__ import annotations

import json

import responses
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.db import OperationalError, connection
from django.test import TransactionTestCase, override_settings

from django_button_orders.models import ButtonOrder, PausedAccount, Submission
from tests.admin.utils import (
    AdminTestCase,
    create_submission,
    create_user,
    page_url,
)
from tests.utils import (
    LONG_AGO,
    NOT_FOUND,
    PURCHASED,
    add_answer,
    button_settings,
    calls,
    create_row,
    order_url,
)

MINUS = "\N{MINUS SIGN}"
THEIRS = {
    "button_order_id": "btnorder-1",
    "order_id": "1994",
    "total": 6500,
    "currency": "USD",
    "btn_ref": None,
    "line_items": [],
    "status": "open",
    # The same moment as PURCHASED, in another time zone.
    "purchase_date": "2026-11-01T13:00:00+01:00",
}

LINES = [
    {"identifier": "pot", "total": 3000, "quantity": 1},
    {"identifier": "mug", "total": 4000},
]


def order_answer(**values):
    return {"json": {"meta": {"status": "ok"}, "object": {**THEIRS, **values}}}


class AskingTestCase(AdminTestCase):
    @responses.activate
    def ask(self, **answer):
        """Press Ask Button, and return the message."""
        add_answer("GET", order_url(), **answer)
        response = self.client.post(page_url(self.row, "ask"))
        assert response.status_code == 302
        assert response["Location"] == page_url(self.row)
        self.asked = calls()
        return [str(message) for message in get_messages(response.wsgi_request)][-1]

    def section(self):
        page = self.page()
        start = page.index("Comparison with Button")
        return page[start : page.index("Next call to Button", start)]


class AskTests(AskingTestCase):
    def test_answers(self):
        unreadable = {"json": {"meta": {"status": "ok"}, "object": ["a"]}}
        answers = [
            (order_answer(), "Button has this order, and it is open"),
            (
                order_answer(status="finalized"),
                "it is finalized: it cannot be changed.",
            ),
            (order_answer(status="deleted"), "as deleted: it was cancelled."),
            (order_answer(status="new"), "Button has this order."),
            (order_answer(status=["open"]), "Button has this order."),
            (unreadable, "Button has answered, but not with an order."),
            ({"status": 404, "json": NOT_FOUND}, "Button does not know this order."),
            (
                {"status": 404, "body": "<html>"},
                "Asking Button failed: A page of HTML came back with "
                "status 404: a proxy answered, not Button. Ask again later.",
            ),
            ({"status": 401}, "Button refused the API key of the account default."),
            (
                {"status": 403, "json": NOT_FOUND},
                "allow the key of the account default to ask: No such order.",
            ),
            (
                {"status": 503, "json": NOT_FOUND},
                "Asking Button failed: No such order. Ask again later.",
            ),
            ({"body": TimeoutError()}, "Button did not answer in time. Ask again"),
        ]
        for answer, said in answers:
            with self.subTest(said=said):
                Submission.objects.all().delete()

                assert said in self.ask(**answer)
                assert said in self.section()
                assert self.asked == ["GET /v1/order/1994"]

    def test_busy_database(self):
        def refuse(execute, sql, params, many, context):
            if sql.startswith("INSERT INTO") and "_submission" in sql:
                raise OperationalError("database is locked")
            return execute(sql, params, many, context)

        with connection.execute_wrapper(refuse):
            said = self.ask(**order_answer())

        assert said.startswith("Asking Button failed: The database raised")

    def test_recorded(self):
        self.ask(**order_answer())

        submission = Submission.objects.get()
        assert (submission.operation, submission.trigger) == ("retrieve", "admin")
        assert submission.user == self.user
        entry = LogEntry.objects.get()
        assert entry.user == self.user
        assert entry.get_change_message() == "Asked Button about the order."
        assert entry.get_edited_object() == self.row

    def test_row_and_account_are_as_before(self):
        before = list(ButtonOrder.objects.values())
        for answer in (order_answer(total=1), {"status": 404}, {"status": 401}):
            with self.subTest(**answer):
                self.ask(**answer)

                assert list(ButtonOrder.objects.values()) == before
                assert not PausedAccount.objects.exists()

    @override_settings(BUTTON_ORDERS=button_settings(ENABLED=False))
    def test_not_asked(self):
        said = self.ask()

        assert said == "Button was not asked: BUTTON_ORDERS['ENABLED'] is False."
        assert self.asked == []
        assert not LogEntry.objects.exists()

    def test_strange_id(self):
        self.put(order_id="btn-ref")

        assert "Button was not asked: Enter another ID" in self.ask()

    def test_get(self):
        assert self.client.get(page_url(self.row, "ask")).status_code == 405

    def test_next(self):
        targets = {
            "/admin/shop/order/": "/admin/shop/order/",
            "http://testserver/admin/": "http://testserver/admin/",
            "https://elsewhere.test/": page_url(self.row),
            "//elsewhere.test/": page_url(self.row),
            "javascript:alert(1)": page_url(self.row),
            "": page_url(self.row),
        }
        for url, target in targets.items():
            with self.subTest(url=url), responses.RequestsMock() as mock:
                mock.get(order_url(), json={})
                response = self.client.post(page_url(self.row, "ask"), {"next": url})

                assert response["Location"] == target


class ViewTests(AskingTestCase):
    def test_never_asked(self):
        assert "Button has not been asked about this order yet." in self.section()

    def test_field_by_field(self):
        self.ask(**order_answer())

        section = self.section()

        assert "Asked a moment ago." in section
        assert "A call was made since then." not in section
        assert f"total {MINUS} 70.00 USD + 65.00 USD differs" in section
        assert f'btn_ref {MINUS} "srctok-1" not at Button' in section
        # Equal values, another spelling of a date, and Button's own fields.
        for name in ("currency", "purchase_date", "line_items", "status"):
            assert name not in section

    def test_nothing_differs(self):
        self.put(line_items=LINES)
        theirs = {
            # The same values, written in another way and in another order.
            "line_items": [LINES[1], {**LINES[0], "total": 3000.0, "quantity": "1"}],
            "currency": "usd",
            "btn_ref": "srctok-1",
            "total": 7000.00,
            "session_id": None,
        }

        self.ask(**order_answer(**theirs))

        section = self.section()
        assert "Nothing differs." in section
        assert "What differs" not in section

    def test_what_button_does_not_show(self):
        """Whether these values differ is unknown."""
        self.put(customer={"id": "7"}, customer_order_id="A-1", line_items=LINES)
        self.ask(json={"meta": {"status": "ok"}, "object": {"total": 7000}})

        section = self.section()

        assert "Nothing differs." in section
        assert (
            "does not show these fields, so they were not compared: btn_ref, currency, "
            "customer, customer_order_id, line_items, order_id, purchase_date"
        ) in section

    def test_line_items(self):
        self.put(line_items=LINES)
        extra = {"identifier": "cap", "total": 5}
        changed = {**LINES[0], "total": 2500}

        self.ask(**order_answer(total=7000, line_items=[changed, extra]))

        section = self.section()
        assert f"line_items / pot / total {MINUS} 30.00 USD + 25.00 USD" in section
        assert f'line_items / mug {MINUS} {{"identifier": "mug"' in section
        assert 'line_items / cap + {"identifier": "cap", "total": 5}' in section
        assert "line_items / pot / quantity" not in section

    def test_other_token(self):
        self.ask(**order_answer(btn_ref="srctok-2"))

        assert f'btn_ref {MINUS} "srctok-1" + "srctok-2" differs' in self.section()

    def test_decimals(self):
        """Button may show decimals or minor units to a shop that sends decimals."""
        settings = button_settings(TOTAL_AS_DECIMAL=True)
        for total, differs in ((70.0, False), (7000, False), (65.0, True)):
            with self.subTest(total=total), override_settings(BUTTON_ORDERS=settings):
                self.ask(**order_answer(total=total, btn_ref="srctok-1"))

                assert ("Nothing differs." not in self.section()) is differs

    def test_integers_of_a_button_that_shows_decimals(self):
        """69 is then no 69 cents."""
        self.put(line_items=LINES)
        lines = [{**line, "total": line["total"] / 100} for line in LINES]
        with override_settings(BUTTON_ORDERS=button_settings(TOTAL_AS_DECIMAL=True)):
            self.ask(**order_answer(total=69, line_items=lines))

            assert f"total {MINUS} 70.0 + 69 differs" in self.section()

    def test_halves_of_characters(self):
        """JSON can spell half of a surrogate pair, which no page can have."""
        line = {"identifier": "\ud800", "total": 5}
        for values in ({"line_items": [line]}, {"btn_ref": "\ud800"}):
            with self.subTest(values=values):
                self.ask(**order_answer(**values))

                assert "?" in self.section()

    def test_what_is_no_number(self):
        self.ask(**order_answer(total="sNaN", btn_ref="srctok-1"))

        assert "Nothing differs." in self.section()

    def test_many_differences(self):
        lines = [{"identifier": f"l{n}", "total": 1} for n in range(150)]
        self.ask(**order_answer(line_items=lines))

        section = self.section()

        assert section.count("only at Button") == 98
        assert "52 more differences are not shown." in section

    def test_nothing_to_compare(self):
        self.put(cancel_requested_at=PURCHASED)
        self.ask(**order_answer())

        section = self.section()

        assert "Nothing differs." not in section
        assert "What differs" not in section

    def test_sent_since_then(self):
        self.ask(**order_answer())
        create_submission(self.row, started_at=LONG_AGO.replace(year=3026))

        assert "A call was made since then." in self.section()

    def test_pruned(self):
        self.ask(**order_answer())
        Submission.objects.update(response_body="")

        assert "Button's answer was pruned. Ask again." in self.section()

    def test_pruned_404(self):
        for answer, said in (
            ({"json": NOT_FOUND}, "Button does not know this order."),
            ({"body": "<html>"}, "a proxy answered, not Button."),
        ):
            with self.subTest(said=said):
                Submission.objects.all().delete()
                self.ask(status=404, **answer)
                Submission.objects.update(response_body="")

                assert said in self.section()

    def test_worker_has_asked_a_proxy(self):
        """A worker's retrieve is on record as a success, whoever answered."""
        create_submission(
            self.row,
            operation="retrieve",
            outcome="succeeded",
            status_code=404,
            response_body="<html>",
            error="A page of HTML came back with status 404: a proxy answered.",
        )

        assert "Asking Button failed: A page of HTML" in self.section()

    def test_no_report_to_compare_with(self):
        """Without a report, Button's view is compared with the acknowledged payload."""
        create_submission(self.row, request_body=json.dumps({"total": 5}))
        self.put(currency="XXQ", reported_revision=1)

        self.ask(**order_answer())

        assert f"total {MINUS} 5 + 65.00 USD differs" in self.section()

    def test_worker_has_asked(self):
        create_submission(
            self.row,
            operation="retrieve",
            status_code=200,
            response_body=json.dumps(order_answer()["json"]),
        )

        assert f"total {MINUS} 70.00 USD + 65.00 USD differs" in self.section()


@override_settings(BUTTON_ORDERS=button_settings())
class TransactionTests(TransactionTestCase):
    @responses.activate
    def test_none_is_open_while_button_takes_its_time(self):
        row = create_row()
        self.client.force_login(create_user(name="root", is_superuser=True))
        seen = []

        def answer(request):
            seen.append(connection.in_atomic_block)
            return 404, {}, "{}"

        responses.add_callback("GET", order_url(), answer)
        connection.settings_dict["ATOMIC_REQUESTS"] = True
        self.addCleanup(connection.settings_dict.update, ATOMIC_REQUESTS=False)

        self.client.post(page_url(row, "ask"))

        assert seen == [False]
