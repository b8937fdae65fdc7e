from __future__ import annotations

from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from django_button_orders.admin.changelist import MAX_LISTED
from django_button_orders.models import Difference
from django_button_orders.models.clock import from_now
from tests.admin.utils import AdminTestCase, page_url, text_of
from tests.shop.models import Order

LIST_URL = reverse("admin:django_button_orders_difference_changelist")
ADD_URL = reverse("admin:django_button_orders_difference_add")


class DifferenceTests(AdminTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        cls.order = Order.objects.bulk_create([Order(number="1995")])[0]
        cls.changed = Difference.objects.create(
            side="button",
            kind="different",
            order_id=cls.row.order_id,
            values={"total": [7000, "<b>0</b>"], "btn_ref": ["hash 12", None]},
            fixed_at=timezone.now(),
        )
        cls.missing = Difference.objects.create(
            side="shop",
            kind="missing",
            order_id="1995",
            source_type=ContentType.objects.get_for_model(Order),
            source_id=str(cls.order.pk),
        )

    def url(self, difference, view="change"):
        name = f"admin:django_button_orders_difference_{view}"
        return reverse(name, args=[difference.pk])

    def found(self, query=""):
        response = self.client.get(f"{LIST_URL}{query}")
        assert response.status_code == 200
        return [item.order_id for item in response.context["cl"].result_list]

    def test_list(self):
        response = self.client.get(LIST_URL)

        text = text_of(response)
        assert "Button has other values" in text
        assert "The order has no Button order" in text
        assert " total, btn_ref " in text
        assert page_url(self.row) in response.content.decode()

    def test_search_by_order_id(self):
        Difference.objects.create(side="shop", kind="missing", order_id="2026/11 #42")

        assert self.found("?q=1995") == ["1995"]
        assert self.found("?q=199") == []
        assert self.found("?q=2026%2F11+%2342") == ["2026/11 #42"]
        assert self.found("?q=%222026%2F11+%2342%22") == ["2026/11 #42"]
        assert len(self.found("?q=+")) == 3

    def test_filters(self):
        assert self.found("?kind__exact=missing") == ["1995"]
        assert self.found("?fixed_at__isempty=1") == ["1995"]
        assert self.found("?fixed_at__isempty=0") == ["1994"]
        for lookup in ("error__contains", "values__has_key", "kind__startswith"):
            assert self.client.get(LIST_URL, {lookup: "a"}).status_code == 400

    def test_sorted_by_what_is_in_an_index(self):
        Difference.objects.filter(pk=self.changed.pk).update(found_at=from_now(60))

        assert self.found("?o=4") == ["1995", "1994"]
        for column in (0, 1, 2, 3, 5):
            assert self.found(f"?o={column}") == self.found() == ["1994", "1995"]

    def test_more_than_can_be_leafed_through(self):
        Difference.objects.bulk_create(
            Difference(side="shop", kind="missing", order_id=f"more {number}")
            for number in range(MAX_LISTED)
        )

        with CaptureQueriesContext(connection) as queries:
            text = text_of(self.client.get(LIST_URL))

        assert f"There are more than {MAX_LISTED:,} results" in text
        assert "exported" not in text
        assert not any("COUNT(" in query["sql"] for query in queries)

    def test_as_many_queries_for_many_as_for_few(self):
        counts = []
        for count in (3, 30):
            Difference.objects.bulk_create(
                Difference(side="shop", kind="missing", order_id=f"{count}-{at}")
                for at in range(count)
            )
            with CaptureQueriesContext(connection) as queries:
                self.client.get(LIST_URL)
            counts.append(len(queries))

        assert counts[0] == counts[1]

    def test_page(self):
        response = self.client.get(self.url(self.changed))

        assert "total : 7000, <b>0</b> btn_ref : hash 12, nothing" in text_of(response)
        assert b"<b>0</b>" not in response.content
        assert page_url(self.row) in response.content.decode()

    def test_page_of_an_order_without_a_row(self):
        response = self.client.get(self.url(self.missing))

        url = reverse("admin:shop_order_change", args=[self.order.pk])
        assert f'<a href="{url}"><bdi>Order object' in response.content.decode()

    def test_no_link_to_what_the_user_may_not_see(self):
        self.log_in("view_difference")

        response = self.client.get(self.url(self.missing))

        assert f"order {self.order.pk}" in text_of(response)
        assert "/shop/order/" not in response.content.decode()

    def test_no_link_to_rows_for_those_who_may_not_see_them(self):
        self.log_in("view_difference")

        for url in (LIST_URL, self.url(self.changed)):
            response = self.client.get(url)

            assert "1994" in text_of(response)
            assert page_url(self.row) not in response.content.decode()

    def test_nothing_to_link_to(self):
        self.row.delete()

        text = text_of(self.client.get(self.url(self.changed)))

        assert "Button order: - Shop's order: - " in text

    def test_needs_permission(self):
        self.log_in("view_buttonorder")

        assert self.client.get(LIST_URL).status_code == 403

    def test_read_only(self):
        assert self.client.get(ADD_URL).status_code == 403
        assert self.client.post(self.url(self.changed), {}).status_code == 403
        assert self.client.post(self.url(self.changed, "delete")).status_code == 403
        assert Difference.objects.count() == 2
