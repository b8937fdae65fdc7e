from __future__ import annotations

from django_button_orders.models import Difference
from tests.reconcile.utils import (
    ShopTestCase,
    kinds,
)
from tests.utils import (
    add_answer,
    order_url,
)


class DifferenceTests(ShopTestCase):
    def test_once_for_each_order(self):
        order = self.place()
        self.write(order, total=65)
        self.compare()
        first = Difference.objects.get()

        self.compare()
        assert Difference.objects.values().get() == vars_of(first)

        self.write(order, total=60)
        self.compare()
        second = Difference.objects.get()
        assert second.values == {"total": [7000, 6000]}
        assert second.found_at > first.found_at

    def test_over(self):
        order = self.place()
        self.write(order, total=65)
        self.compare()
        assert kinds() == {"1994": "changed"}

        self.write(order, total=70)
        self.compare()

        assert kinds() == {}
        assert Difference.objects.get().fixed_at is not None

    def test_found_again(self):
        order = self.place()
        self.write(order, total=65)
        self.compare(fixes=True)
        assert kinds() == {}
        add_answer("POST", order_url())
        self.report()

        self.write(order, total=60)
        self.compare()

        assert kinds() == {"1994": "changed"}

    def test_while_it_waits_nothing_is_over(self):
        order = self.place()
        self.write(order, total=65)
        self.compare()
        order.save()

        assert self.compare() == {"waiting": 1}
        assert kinds() == {"1994": "changed"}


def vars_of(instance):
    return {
        field.attname: getattr(instance, field.attname)
        for field in instance._meta.concrete_fields
    }
