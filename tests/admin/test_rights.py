"""Each permission opens what the documentation says, and nothing else."""

from __future__ import annotations

import json

import responses
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_button_orders.models import ButtonOrder, PausedAccount, Submission
from tests.admin.test_accounts import url_of
from tests.admin.test_orders import order_data
from tests.admin.utils import (
    ADD_URL,
    LIST_URL,
    AdminTestCase,
    create_submission,
    page_url,
    text_of,
)
from tests.utils import OK, order_url

# The name of each button, by the permission that it needs.
BUTTONS = {
    "retry_buttonorder": "retry",
    "dismiss_buttonorder": "dismiss",
    "cancel_buttonorder": "cancel",
    "ask_buttonorder": "ask",
    "overwrite_buttonorder": "overwrite",
    "resume_pausedaccount": "resume",
}
OTHERS = (
    "view_bodies_submission",
    "view_pausedaccount",
    "view_submission",
    "change_buttonorder",
    "add_buttonorder",
)
SECRETS = ("customer-7", "body-of-the-request", "body-of-the-answer")


class RightsTestCase(AdminTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        PausedAccount.objects.all().pause("default", seconds=300, error="401")
        create_submission(
            cls.row,
            request_body=json.dumps({"a": "body-of-the-request"}),
            response_body=json.dumps({"object": {"a": "body-of-the-answer"}}),
        )
        create_submission(
            cls.row,
            operation="retrieve",
            status_code=200,
            response_body=json.dumps({"object": {"a": "body-of-the-answer"}}),
        )
        ButtonOrder.objects.update(
            status="failed", reason="taken", customer={"id": "customer-7"}
        )

    def url(self, view):
        if view == "resume":
            return url_of(PausedAccount.objects.get(account="default"), "resume")
        return page_url(self.row, view)

    def press(self, view):
        """Press a button, and return whether anything changed."""
        before = self.snapshot()
        with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
            mock.get(order_url(), json=OK)
            response = self.client.post(self.url(view))
        did = self.snapshot() != before
        assert response.status_code == (302 if did else 403)
        return did

    def snapshot(self):
        return [
            list(model.objects.order_by("pk").values())
            for model in (ButtonOrder, PausedAccount, Submission, LogEntry)
        ]

    def undo(self):
        ButtonOrder.objects.update(
            status="failed", reason="taken", cancel_requested_at=None
        )
        PausedAccount.objects.all().delete()
        PausedAccount.objects.all().pause("default", seconds=300, error="401")


class ButtonMatrixTests(RightsTestCase):
    def pressed(self):
        found = set()
        for view in BUTTONS.values():
            if self.press(view):
                found.add(view)
                self.undo()
        return found

    def test_none(self):
        self.log_in()

        assert self.pressed() == set()

    def test_each_alone(self):
        """A button also needs the permission to view what it is about."""
        for codename, view in BUTTONS.items():
            with self.subTest(codename=codename):
                self.log_in(codename, name=codename)

                assert self.pressed() == set(), view

    def test_each_with_view(self):
        for codename in (*BUTTONS, *OTHERS):
            _, model = codename.rsplit("_", 1)
            with self.subTest(codename=codename):
                self.log_in(f"view_{model}", codename, name=codename)

                expected = {BUTTONS[codename]} if codename in BUTTONS else set()
                assert self.pressed() == expected

    def test_superuser(self):
        assert self.pressed() == set(BUTTONS.values())


class BodyTests(RightsTestCase):
    """Only one permission shows bodies and customers."""

    def html(self):
        response = self.client.get(page_url(self.row))
        assert response.status_code == 200
        return response.content.decode()

    def check_hidden(self):
        html = self.html()

        for secret in (*SECRETS, "curl", "srctok-1&quot;"):
            assert secret not in html
        assert "You do not have permission to view calls" in html
        assert "You do not have permission to view the customer." in html
        # The time and the URL of a call are visible to all who may view the order.
        assert "Calls to Button" in html
        assert "https://button.test/v1/order" in html

    def check_shown(self):
        html = self.html()

        for secret in (*SECRETS, "curl -X"):
            assert secret in " ".join(html.replace("\\", "").split())
        assert "You do not have permission" not in html

    def test_without(self):
        for codename in (*BUTTONS, *OTHERS[1:]):
            with self.subTest(codename=codename):
                self.log_in("view_buttonorder", codename, name=codename)

                self.check_hidden()

    def test_order_of_the_shop(self):
        ButtonOrder.objects.update(source_id="1")
        self.log_in("view_buttonorder", "change_buttonorder")

        self.check_hidden()

    def test_with(self):
        for codename in ("view_buttonorder", "change_buttonorder"):
            with self.subTest(codename=codename):
                self.log_in("view_bodies_submission", codename, name=codename)

                self.check_shown()

    def test_superuser(self):
        self.check_shown()

    def test_alone(self):
        self.log_in("view_bodies_submission")

        assert self.client.get(page_url(self.row)).status_code == 403
        assert self.client.get(LIST_URL).status_code == 403

    def test_bodies_are_not_even_read(self):
        self.log_in("view_buttonorder")

        with CaptureQueriesContext(connection) as queries:
            self.client.get(page_url(self.row))

        found = [query["sql"] for query in queries if "submission" in query["sql"]]
        assert found
        assert not any("_body" in sql for sql in found)

    def test_what_button_said_after_asking(self):
        self.log_in("view_buttonorder", "ask_buttonorder")
        with responses.RequestsMock() as mock:
            body = {"meta": {"status": "ok"}, "object": {"a": "body-of-the-answer"}}
            mock.get(order_url(), json=body)
            response = self.client.post(self.url("ask"), follow=True)

        assert "Button has this order." in text_of(response)
        assert "body-of-the-answer" not in response.content.decode()

    def test_saving_keeps_the_customer(self):
        self.log_in("change_buttonorder", "view_buttonorder")
        data = order_data(total="1", customer='{"id": "another"}')

        response = self.client.post(page_url(self.row), data)

        assert response.status_code == 302
        row = ButtonOrder.objects.get()
        assert (row.total, row.customer) == (1, {"id": "customer-7"})

    def test_error_of_a_hidden_customer(self):
        ButtonOrder.objects.update(customer={"unknown": "customer-7"})
        self.log_in("change_buttonorder", "view_buttonorder")

        response = self.client.post(page_url(self.row), order_data(total="1"))

        assert response.status_code == 200
        assert "customer: " in text_of(response)
        assert "customer-7" not in response.content.decode()

    def test_adding(self):
        """A user may add an order with a customer, and then not see the customer."""
        self.log_in("add_buttonorder", "view_buttonorder")
        data = order_data(order_id="1995", customer='{"id": "customer-7"}')

        response = self.client.post(ADD_URL, data)

        assert response.status_code == 302
        self.row = ButtonOrder.objects.get(order_id="1995")
        assert self.row.customer == {"id": "customer-7"}
        assert "customer-7" not in self.page()
