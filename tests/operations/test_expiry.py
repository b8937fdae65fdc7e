from __future__ import annotations

from datetime import timedelta

from django.contrib.admin.models import LogEntry
from django.test import TestCase, override_settings
from django.utils import timezone

from django_button_orders import set_btn_ref
from django_button_orders.models import AttributionToken, ButtonOrder
from django_button_orders.operations.expiry import count_expired
from django_button_orders.operations.retention import prune
from django_button_orders.tasks import prune_submissions
from tests.management.utils import call
from tests.operations.test_erase import create_janes, everything
from tests.shop.models import Order
from tests.utils import button_settings

ACCOUNTS = {"eu": {"KEEP_PERSONAL_DAYS": 7}, "uk": {"KEEP_PERSONAL_DAYS": None}}


def create(days, status="reported", account="default"):
    row = create_janes(order_id=f"{account}-{status}-{days}", account=account)
    changed = timezone.now() - timedelta(days=days)
    ButtonOrder.objects.filter(pk=row.pk).update(status=status, updated_at=changed)
    return row.order_id


def erased():
    rows = ButtonOrder.objects.filter(erased_at__isnull=False)
    return set(rows.values_list("order_id", flat=True))


def keep_tokens():
    """Keep an old token of a pending order, and two of unpaid ones."""
    for name, days in (("old", 91), ("young", 89), ("pending", 91)):
        order = Order.objects.create(number=name, is_paid=name == "pending")
        set_btn_ref(order, f"srctok-{name}")
        moment = timezone.now() - timedelta(days=days)
        AttributionToken.objects.filter(source_id=order.pk).update(kept_at=moment)


def tokens():
    return list(
        AttributionToken.objects.order_by("pk").values_list("btn_ref", flat=True)
    )


@override_settings(BUTTON_ORDERS=button_settings(KEEP_PERSONAL_DAYS=90))
class ExpiryTests(TestCase):
    databases = {"default", "archive"}

    def test_settled_orders(self):
        settled = {"reported", "cancelled", "closed", "dismissed"}
        old = {status: create(91, status) for status in ButtonOrder.Status.values}
        for status in settled:
            create(89, status)

        with self.assertLogs("django_button_orders", "INFO") as logs:
            prune_submissions()

        assert erased() == {old[status] for status in settled}
        assert "4 orders had expired and were erased" in logs.output[-1]
        assert not LogEntry.objects.exists()

    def test_nothing_is_left(self):
        create(91)
        prune(using="default")
        assert "jane" not in everything()

    def test_no_setting(self):
        create(5000)
        with override_settings(BUTTON_ORDERS=button_settings()):
            prune(using="default")
        assert erased() == set()

    def test_accounts(self):
        with override_settings(
            BUTTON_ORDERS=button_settings(KEEP_PERSONAL_DAYS=90, ACCOUNTS=ACCOUNTS)
        ):
            expired = {create(8, account="eu"), create(91), create(91, account="gone")}
            create(8)
            create(500, account="uk")

            prune(using="default")

        assert erased() == expired

    def test_tokens_of_orders_that_have_no_button_order(self):
        """Such as unpaid orders: nothing else ends the storage of their tokens."""
        keep_tokens()
        with override_settings(
            BUTTON_ORDERS=button_settings(KEEP_PERSONAL_DAYS=90, ACCOUNTS=ACCOUNTS)
        ):
            prune(using="default")
        with override_settings(BUTTON_ORDERS=button_settings()):
            prune(using="default")
        assert len(tokens()) == 3

        prune(using="default")

        assert tokens() == ["srctok-young", "srctok-pending"]

    def test_stopped(self):
        create(91)
        create(91, account="eu")
        with override_settings(
            BUTTON_ORDERS=button_settings(KEEP_PERSONAL_DAYS=90, ACCOUNTS=ACCOUNTS)
        ):
            result = prune(using="default", is_stopped=lambda: True)
            assert (result.orders_erased, result.is_complete) == (1, False)
            result = prune(using="default")
        assert (result.orders_erased, result.is_complete) == (1, True)

    def test_pending_meanwhile(self):
        """Nothing is erased of an order that has changed since it was found."""
        create(91)
        [row] = ButtonOrder.objects.all()
        row.total = 6000
        row.save()
        assert count_expired("default") == 0

    def test_command(self):
        create(91)
        out, _, _ = call("button_orders_prune", "--dry-run")
        assert "1 order erased" in out
        assert erased() == set()
        out, _, _ = call("button_orders_prune")
        assert out == "1 order erased.\n"
        assert len(erased()) == 1
