from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.contenttypes.models import ContentType
from django.test import override_settings
from django.urls import reverse

from django_button_orders.models import ButtonOrder, PausedAccount, Submission
from django_button_orders.querysets import from_now
from tests.admin.utils import AdminTestCase, page_url, text_of
from tests.shop.models import Order, Page
from tests.utils import PURCHASED, button_settings

HOSTILE = "<script>alert(1)</script>"
rows = ButtonOrder.objects


def create_submission(row, **values):
    return Submission.objects.create(
        **{
            "button_order": row,
            "operation": "create",
            "trigger": "save",
            "revision": 1,
            "started_at": PURCHASED,
            "duration_ms": 120,
            "method": "POST",
            "url": "https://button.test/v1/order",
            "outcome": "succeeded",
            **values,
        }
    )


class StandingTests(AdminTestCase):
    def test_settled(self):
        sentences = {
            ("reported", ""): "Button knows the order as it is shown below.",
            ("cancelled", ""): "The order is cancelled",
            ("failed", "invalid"): "Correct them and save",
            ("failed", "refused"): "Button refused it, and would refuse it again.",
            ("failed", "finalized"): "Button takes no more changes to this order.",
            ("failed", "exhausted"): "All attempts are used up.",
            ("failed", "unauthorized"): "Correct API_KEY and retry.",
            ("failed", "unavailable"): "Button could not be reached. Retry.",
            ("failed", "no_token"): "It failed.",
            ("dismissed", "no_token"): "It has no attribution token",
            ("dismissed", "refused"): "It was dismissed",
            ("dismissed", ""): "It was dismissed",
        }
        for (status, reason), sentence in sentences.items():
            with self.subTest(status=status, reason=reason):
                self.put(status=status, reason=reason, next_attempt_at=None)

                assert sentence in self.page()

    def test_invalid_order_of_the_shop(self):
        self.put(status="failed", reason="invalid", source_id="1")

        assert "Correct the order or its adapter" in self.page()

    def test_due(self):
        assert "It is due, and a worker will report it shortly." in self.page()

    def test_cancellation_due(self):
        self.put(cancel_requested_at=PURCHASED)

        assert "Its cancellation is due" in self.page()

    def test_waiting(self):
        later = PURCHASED.replace(year=3026)
        for reason in ("", "unavailable", "unauthorized"):
            with self.subTest(reason=reason):
                self.put(next_attempt_at=later, reason=reason)

                assert "again by itself on Nov. 1, 3026, 7 a.m." in self.page()

    @override_settings(USE_TZ=False)
    def test_waiting_without_time_zones(self):
        self.put(next_attempt_at=datetime(3026, 11, 1, 12))

        assert "again by itself on Nov. 1, 3026, noon" in self.page()

    def test_in_flight(self):
        self.put(lease_expires_at=from_now(60))

        assert "A worker is at it right now." in self.page()

    def test_paused(self):
        PausedAccount.objects.all().pause("default", seconds=300, error="401")

        assert (
            "Button does not accept the API key of the account default" in self.page()
        )

    @override_settings(BUTTON_ORDERS=button_settings(ENABLED=False))
    def test_disabled(self):
        assert "ENABLED is false" in self.page()

    def test_unknown_account(self):
        self.put(account="gone")

        assert "It is due" in self.page()


class SourceTests(AdminTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        cls.order = Order.objects.create(number="42")
        cls.row = rows.get(order_id="42")
        cls.url = reverse("admin:shop_order_change", args=[cls.order.pk])

    def html(self):
        response = self.client.get(page_url(self.row))
        assert response.status_code == 200
        return response.content.decode()

    def test_link(self):
        assert f'<a href="{self.url}">order {self.order.pk}</a>' in self.html()

    def test_no_permission_there(self):
        self.log_in("view_buttonorder")

        assert f'href="{self.url}"' not in self.html()
        assert f"order {self.order.pk}" in self.html()

    def test_permission_there(self):
        self.log_in("view_buttonorder", "view_order")

        assert f'href="{self.url}"' in self.html()

    def test_deleted(self):
        Order.objects.all().delete()

        assert f'href="{self.url}"' not in self.html()

    def test_not_in_the_admin(self):
        self.put(source_type=ContentType.objects.get_for_model(Page), source_id="7")

        assert "page 7" in self.html()

    def test_key_of_another_kind(self):
        self.put(source_id="<b>7</b>")

        assert "order &lt;b&gt;7&lt;/b&gt;" in self.html()

    def test_model_is_gone(self):
        gone = ContentType.objects.create(app_label="shop", model="gone")
        for pk in (gone.pk, 9999, None):
            with self.subTest(pk=pk):
                self.put(source_type_id=pk)

                assert f"The shop's order: {self.order.pk}" in self.page()


class HistoryTests(AdminTestCase):
    def test_nothing_sent(self):
        assert "Nothing was sent yet." in self.page()

    def test_facts(self):
        create_submission(
            self.row,
            user=self.user,
            trigger="admin",
            status_code=422,
            error="No.",
            outcome="failed",
        )

        page = self.page()

        assert "Create: Failed 2026-11-01 06:00:00 · 120 ms · Admin · root" in page
        assert "POST https://button.test/v1/order → 422 No." in page

    def test_pretty_json(self):
        create_submission(self.row, request_body='{"a":{"b":"é"}}', response_body="")

        html = self.client.get(page_url(self.row)).content.decode()

        assert "{\n  &quot;a&quot;: {\n    &quot;b&quot;: &quot;é&quot;" in html
        assert "<summary>Request</summary>" in html
        assert "<summary>Response</summary>" not in html

    def test_not_json(self):
        for body in ("<html>502</html>", "{", "[" * 9000, "1" * 9000, "x" * 30_000):
            with self.subTest(body=body[:20]):
                create_submission(self.row, response_body=body)

                assert body in self.page()

    def test_much_too_long(self):
        create_submission(self.row, response_body="x" * 200_000)

        assert f"{'x' * 100_000} …" in self.page()
        assert "x" * 100_001 not in self.page()

    def test_newest_first_and_bounded(self):
        for number in range(52):
            started = PURCHASED + timedelta(days=number)
            create_submission(self.row, error=f"#{number}.", started_at=started)

        page = self.page()

        assert "The latest 50 of 52." in page
        assert page.index("#51.") < page.index("#2.")
        assert "#1." not in page

    def test_queries_do_not_grow(self):
        create_submission(self.row, user=self.user)
        self.page()
        with self.assertNumQueries(11):
            self.page()
        for _ in range(20):
            create_submission(self.row, user=self.user)

        with self.assertNumQueries(11):
            self.page()


class HostileTests(AdminTestCase):
    def test_stored_text_stays_text(self):
        self.put(
            order_id=HOSTILE,
            status="failed",
            last_error=HOSTILE,
            customer={"id": HOSTILE},
            btn_ref=HOSTILE,
            source_id=HOSTILE,
        )
        create_submission(
            self.row,
            url=HOSTILE,
            error=HOSTILE,
            request_body=f'{{"a": "{HOSTILE}"}}',
            response_body=HOSTILE,
        )
        for codename in ("view_buttonorder", "change_buttonorder"):
            self.log_in(codename, name=codename)
            for source_id in (HOSTILE, None):
                with self.subTest(codename=codename, source_id=source_id):
                    self.put(source_id=source_id)

                    response = self.client.get(page_url(self.row))

                    assert b"<script>alert" not in response.content
                    assert response.content.count(b"&lt;script&gt;alert(1)") >= 8


class PageTests(AdminTestCase):
    def test_view_only(self):
        self.log_in("view_buttonorder")

        page = self.page()

        assert "View Button order" in page
        assert "Total: 70.00 USD" in page

    def test_forbidden(self):
        self.log_in()

        assert self.client.get(page_url(self.row)).status_code == 403

    def test_anonymous(self):
        self.client.logout()

        assert self.client.get(page_url(self.row)).status_code == 302

    def test_incomplete(self):
        self.put(total=None, currency=None, purchase_date=None, btn_ref=None)
        self.log_in("view_buttonorder")

        assert "Total: -" in self.page()

    def test_pretty_fields(self):
        self.log_in("view_buttonorder")
        self.put(line_items=[{"identifier": "a"}])

        response = self.client.get(page_url(self.row))

        assert "[\n  {\n    &quot;identifier&quot;: &quot;a&quot;" in (
            response.content.decode()
        )

    def test_history_of_the_admin(self):
        response = self.client.get(page_url(self.row, "history"))

        assert response.status_code == 200

    def test_no_deleting(self):
        response = self.client.post(page_url(self.row, "delete"), {"post": "yes"})

        assert response.status_code == 403
        assert rows.exists()
        assert "Delete" not in text_of(self.client.get(page_url(self.row)))
