"""The button to report over another order that Button has under the same id."""

from __future__ import annotations

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import NoReverseMatch, reverse

from django_button_orders.models import ButtonOrder
from tests.admin.utils import LIST_URL, AdminTestCase, create_submission, page_url

ERROR = (
    "Button has another order under this ID, and it was not changed. Ours: total "
    "100. Button's: total 45000. Report this order under another ID. If Button's "
    "order is this one, press 'Report over it' in the admin."
)


class OverwriteTestCase(AdminTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        ButtonOrder.objects.update(
            status="failed", reason="taken", next_attempt_at=None, last_error=ERROR
        )

    @property
    def action(self):
        return f'action="{page_url(self.row, "overwrite")}"'

    def html(self):
        return self.client.get(page_url(self.row)).content.decode()

    def press(self):
        response = self.client.post(page_url(self.row, "overwrite"), follow=True)
        self.row.refresh_from_db()
        return response


class PageTests(OverwriteTestCase):
    def test_explains_both_sides_and_what_to_do(self):
        page = self.page()

        assert "Ours: total 100. Button's: total 45000." in page
        assert "If both are the same order, report over it." in page

    def test_confirmation_shows_both_sides(self):
        form = self.html().partition(self.action)[2].partition("</form>")[0]

        assert "Ours: total 100. Button&#x27;s: total 45000." in form
        assert "the old values are lost" in form

    def test_offered_again_beside_buttons_view(self):
        order = {"order_id": "1994", "total": 45000}
        create_submission(
            self.row,
            operation="retrieve",
            status_code=200,
            response_body=json.dumps({"meta": {"status": "ok"}, "object": order}),
        )

        view = self.html().partition('id="button-order-view"')[2]

        assert "45000" in view
        assert self.action in view

    def test_not_offered_for_other_failures(self):
        for values in (
            {"reason": "refused"},
            {"reason": "exhausted"},
            {"status": "dismissed", "reason": "taken"},
            {"status": "pending", "reason": ""},
            {"status": "reported", "reason": ""},
        ):
            with self.subTest(**values):
                self.put(**{"status": "failed", **values})

                assert self.action not in self.html()

    def test_not_offered_without_the_permission(self):
        self.log_in("view_buttonorder", "retry_buttonorder", "view_bodies_submission")

        assert self.action not in self.html()


class PressTests(OverwriteTestCase):
    def test_makes_an_update_due(self):
        page = self.press().content.decode()

        assert "1 order will replace the order that Button has under its ID." in page
        assert (self.row.status, self.row.reason) == ("pending", "")
        assert self.row.reported_revision == 0
        assert "The order would be updated at Button" in page
        entry = LogEntry.objects.get()
        assert entry.user == self.user
        assert entry.change_message == "Reported over another order at Button."

    def test_not_for_other_failures(self):
        self.put(reason="refused")

        page = self.press().content.decode()

        assert "1 was skipped" in page
        assert self.row.status == "failed"
        assert not self.row.is_acknowledged
        assert not LogEntry.objects.exists()

    def test_retry_is_not_enough(self):
        self.log_in("view_buttonorder", "retry_buttonorder", "cancel_buttonorder")

        assert self.press().status_code == 403
        assert not self.row.is_acknowledged

    def test_not_for_many_at_once(self):
        with pytest.raises(NoReverseMatch):
            reverse("admin:django_button_orders_buttonorder_overwrite_many")
        data = {"action": "overwrite_orders", "_selected_action": [self.row.pk]}

        self.client.post(LIST_URL, data)

        self.row.refresh_from_db()
        assert self.row.status == "failed"
