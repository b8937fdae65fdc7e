from __future__ import annotations

from django.contrib.admin.models import LogEntry
from django.test import override_settings
from django.urls import reverse

from django_button_orders.models import ButtonOrder, QueuedAction
from django_button_orders.operations.queue import run_queued_actions
from tests.admin.utils import LIST_URL, AdminTestCase, text_of
from tests.operations.test_erase import assert_forgotten, create_janes
from tests.utils import button_settings

ERASE_URL = reverse("admin:django_button_orders_buttonorder_erase_many")


class EraseTests(AdminTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        cls.jane = create_janes(order_id="1995")
        ButtonOrder.objects.update(
            status="reported", reported_revision=1, button_order_id="btnorder-1"
        )

    def confirm(self, *pks, **data):
        data["_selected_action"] = pks or [self.jane.pk]
        return self.client.post(LIST_URL, {"action": "erase_orders", **data})

    def erase(self, *pks, across="0", **data):
        signed = self.confirm(*pks, select_across=across).context["signed"]
        return self.client.post(ERASE_URL, {"selection": signed, **data})

    def test_confirmation(self):
        text = text_of(self.confirm())
        assert "Erase the personal data of 1 order?" in text
        assert "This cannot be undone." in text
        assert "once more, without the customer" in text
        assert not ButtonOrder.objects.filter(erased_at__isnull=False).exists()

    def test_list_for_button(self):
        text = text_of(self.erase())
        assert "Send this list to Button" in text
        assert "default 1995 btnorder-1 2026-11-01" in text
        assert "The personal data of 1 order was erased." in text
        assert_forgotten()
        assert ButtonOrder.objects.get(pk=self.row.pk).erased_at is None

    def test_log(self):
        self.erase()
        entry = LogEntry.objects.get()
        assert (entry.user, entry.object_repr) == (self.user, "1995")
        assert entry.change_message == "Personal data erased."

    def test_erased_before(self):
        self.erase()
        text = text_of(self.confirm())
        assert "1 · Erased before" in text

    def test_tell_button(self):
        row = create_janes(order_id="1996")
        digest = row.desired_digest()
        ButtonOrder.objects.filter(pk=row.pk).update(
            status="reported", reported_revision=1, reported_digest=digest
        )
        self.erase(row.pk, tell_button="1")
        row.refresh_from_db()
        assert (row.status, row.revision) == ("pending", 2)
        assert "also at Button" in LogEntry.objects.get().change_message

    def test_permission(self):
        self.log_in("view_buttonorder", "change_buttonorder")
        assert "erase_orders" not in self.client.get(LIST_URL).content.decode()
        assert self.client.post(ERASE_URL, {"selection": "x"}).status_code == 403
        self.log_in("view_buttonorder", "erase_buttonorder", name="eve")
        self.erase()
        assert_forgotten()

    def test_signature_of_another_verb(self):
        data = {"action": "cancel_orders", "_selected_action": [self.jane.pk]}
        signed = self.client.post(LIST_URL, data).context["signed"]
        self.client.post(ERASE_URL, {"selection": signed})
        assert not ButtonOrder.objects.filter(erased_at__isnull=False).exists()

    def test_page(self):
        self.erase()
        self.row = self.jane
        text = self.page()
        assert "Erased" in text
        assert "srctok-jane" not in text

    @override_settings(BUTTON_ORDERS=button_settings())
    def test_many(self):
        ButtonOrder.objects.bulk_create(
            ButtonOrder(order_id=f"many-{n}", customer={"id": "jane-77"}, total=1)
            for n in range(1001)
        )
        pks = ButtonOrder.objects.filter(order_id__startswith="many")
        text = text_of(self.erase(across="1"))
        assert "will be changed by the next sweeps" in text
        assert "many-1000" in text
        assert QueuedAction.objects.exists()

        run_queued_actions(using="default", is_stopped=lambda: False)

        assert pks.filter(erased_at__isnull=False).count() == 1001
