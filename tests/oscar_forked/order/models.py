from __future__ import annotations

from oscar.apps.order.abstract_models import AbstractOrder

from django_button_orders.contrib.oscar.mixins import BtnRefOrderMixin


class Order(AbstractOrder, BtnRefOrderMixin):
    pass


from oscar.apps.order.models import *  # noqa: E402, F403 - as Oscar documents
