from __future__ import annotations

from datetime import timedelta

from django.test import TestCase, override_settings
from django.utils import timezone

from django_button_orders.models import ButtonOrder, Submission
from django_button_orders.tasks import prune_submissions
from tests.utils import button_settings, create_row


@override_settings(BUTTON_ORDERS=button_settings())
class PruneTests(TestCase):
    databases = {"default", "archive"}

    def create(self, days, status="reported"):
        row = create_row(order_id=f"{status}-{days}")
        ButtonOrder.objects.filter(pk=row.pk).update(status=status)
        return Submission.objects.create(
            button_order=row,
            operation="create",
            trigger="save",
            revision=1,
            started_at=timezone.now() - timedelta(days=days),
            duration_ms=50,
            method="POST",
            url="https://button.test/v1/order",
            request_body="{}",
            response_body="{}",
            outcome="succeeded",
        )

    def test_bodies_first_rows_later(self):
        fresh, old, ancient = (self.create(days) for days in (29, 31, 366))

        prune_submissions()

        fresh.refresh_from_db()
        old.refresh_from_db()
        assert fresh.request_body == fresh.response_body == "{}"
        assert old.request_body == old.response_body == ""
        assert not Submission.objects.filter(pk=ancient.pk).exists()
        assert ButtonOrder.objects.count() == 3

    def test_pending_rows_keep_theirs(self):
        kept = self.create(400, status="pending")

        prune_submissions()

        kept.refresh_from_db()
        assert kept.request_body == "{}"

    @override_settings(
        BUTTON_ORDERS=button_settings(KEEP_BODIES_DAYS=1, KEEP_SUBMISSIONS_DAYS=2)
    )
    def test_settings(self):
        self.create(3)

        prune_submissions()

        assert not Submission.objects.exists()
