from __future__ import annotations

from django.urls import reverse

from django_button_orders.models import PausedAccount
from tests.admin.utils import AdminTestCase, text_of

LIST_URL = reverse("admin:django_button_orders_pausedaccount_changelist")
ADD_URL = reverse("admin:django_button_orders_pausedaccount_add")


class PausedAccountTests(AdminTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        PausedAccount.objects.all().pause("eu", seconds=300, error="<b>401</b>")
        cls.account = PausedAccount.objects.get()

    def url(self, view):
        name = f"admin:django_button_orders_pausedaccount_{view}"
        return reverse(name, args=[self.account.pk])

    def test_list(self):
        response = self.client.get(LIST_URL)

        assert " eu " in text_of(response)
        assert b"&lt;b&gt;401" in response.content

    def test_page(self):
        assert "<b>401</b>" in text_of(self.client.get(self.url("change")))

    def test_read_only(self):
        assert self.client.get(ADD_URL).status_code == 403
        assert self.client.post(self.url("change"), {}).status_code == 403
        assert self.client.post(self.url("delete"), {}).status_code == 403
        assert PausedAccount.objects.exists()
