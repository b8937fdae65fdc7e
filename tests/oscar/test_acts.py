"""What people do at Oscar's dashboard, and the calls to Button that follow from it."""

from __future__ import annotations

from django.test import TestCase
from django.urls import reverse
from oscar.core.loading import get_model

from django_button_orders import register
from django_button_orders.contrib.oscar import OscarOrderAdapter
from django_button_orders.models import ButtonOrder
from django_button_orders.outbox.adapters import find_adapter, unregister
from django_button_orders.testing import ButtonSandboxMixin
from tests.oscar.utils import Clerk, Order, Shopper, create_product

PaymentEventType = get_model("order", "PaymentEventType")
ShippingEventType = get_model("order", "ShippingEventType")


class DashboardTestCase(ButtonSandboxMixin, TestCase):
    """
    An order of two mugs at 20.00, and four plates at 10.00, which Button knows.

    The tax is 20 %, and shipping is 5.00 without tax.
    """

    databases = {"default", "archive"}

    @classmethod
    def setUpTestData(cls):
        for name in ("Paid", "Refunded", "Partial refund", "Delivery refund"):
            PaymentEventType.objects.create(name=name)
        for name in ("Shipped", "Returned", "Cancelled"):
            ShippingEventType.objects.create(name=name)
        mug = create_product("20.00", sku="MUG")
        plate = create_product("10.00", sku="PLATE", title="Plate")
        shopper = Shopper()
        shopper.add(mug, 2)
        shopper.add(plate, 4)
        cls.order = shopper.check_out()
        cls.mugs, cls.plates = cls.order.lines.all()

    def setUp(self):
        super().setUp()
        self.clerk = Clerk(self.order)
        assert self.button_sandbox.report() == {"reported": 1}
        self.calls = len(self.button_sandbox.requests)

    def held(self):
        """Report, and return the total and the lines that Button has then."""
        self.button_sandbox.report()
        held = self.button_sandbox.orders[self.order.number]
        lines = {
            line["sku"]: (line["quantity"], line["total"])
            for line in held.get("line_items", [])
        }
        assert held["total"] == sum(total for _, total in lines.values())
        return held["total"], lines

    def new_calls(self):
        """Report, and return the methods of the calls since the last time."""
        self.button_sandbox.report()
        requests = self.button_sandbox.requests[self.calls :]
        self.calls += len(requests)
        return [request.method for request in requests]

    def refund(self, quantities=None, *, amount="", kind="refunded"):
        data = {"payment_event_type": kind, "amount": amount}
        if quantities:
            said = self.clerk.act_on(quantities, "create_payment_event", **data)
        else:
            said = self.clerk.act("create_order_payment_event", **data)
        assert said == ["Payment event created"]

    def ship(self, quantities, kind="shipped"):
        said = self.clerk.act_on(
            quantities,
            "create_shipping_event",
            shipping_event_type=kind,
            reference="",
        )
        assert said == ["Shipping event created"]

    def set_status(self, *statuses):
        for status in statuses:
            said = self.clerk.act("change_order_status", new_status=status)
            assert "status changed" in said[0]

    def set_line_status(self, lines, *statuses):
        quantities = {line: line.quantity for line in lines}
        for status in statuses:
            said = self.clerk.act_on(
                quantities, "change_line_statuses", new_status=status
            )
            assert said[0].startswith("Status of line")


WHOLE = (8000, {"MUG": (2, 4000), "PLATE": (4, 4000)})
# It is known that Button takes lines without a price, and not that it takes lines
# without units.
NOTHING = (0, {"MUG": (2, 0), "PLATE": (4, 0)})
ONE_MUG_LESS = (6000, {"MUG": (1, 2000), "PLATE": (4, 4000)})


class ActsWithoutCallTests(DashboardTestCase):
    def tearDown(self):
        assert self.new_calls() == []
        assert self.held() == WHOLE
        super().tearDown()

    def test_note(self):
        self.clerk.act("save_note", message="Nice customer", note_type="Info")

        note = self.order.notes.get(message="Nice customer")
        self.clerk.act("delete_note", note_id=note.pk)

    def test_processing(self):
        self.set_status("Being processed")
        self.mugs.refresh_from_db()
        assert self.mugs.status == "Being processed"

    def test_complete(self):
        self.set_status("Being processed", "Complete")

    def test_shipped_lines(self):
        self.set_line_status([self.mugs], "Being processed", "Shipped")

    def test_split_shipment(self):
        self.ship({self.mugs: 1, self.plates: 4})
        self.ship({self.mugs: 1})

    def test_payment(self):
        self.refund(kind="paid", amount="101.00")
        self.refund({self.mugs: 2}, kind="paid")

    def test_refund_of_delivery(self):
        self.refund(kind="delivery-refund", amount="6.00")

    def test_transaction_without_an_event(self):
        kind = get_model("payment", "SourceType").objects.create(name="Card")
        source = self.order.sources.create(source_type=kind, amount_debited=102)
        source.refund(24)

    def test_refused_acts(self):
        self.clerk.act("change_order_status", new_status="Complete")
        self.clerk.act_on(
            {self.mugs: 3}, "create_shipping_event", shipping_event_type="returned"
        )
        self.clerk.act(
            "create_order_payment_event", payment_event_type="refunded", amount="x"
        )

    def test_address(self):
        path = reverse(
            "dashboard:order-shipping-address", kwargs={"number": self.order.number}
        )
        address = {
            "first_name": "Ada",
            "last_name": "Lovelace",
            "line1": "2 Main Street",
            "line4": "Chicago",
            "postcode": "60601",
            "country": "US",
        }
        response = self.clerk.client.post(path, address)
        assert response.status_code == 302


class CancellationTests(DashboardTestCase):
    def test_cancelled(self):
        self.set_status("Cancelled")

        assert self.new_calls() == ["DELETE"]

    def test_cancelled_and_back(self):
        self.set_status("Cancelled")
        assert self.new_calls() == ["DELETE"]
        self.order.refresh_from_db()

        self.order.status = "Pending"
        self.order.save()

        assert self.new_calls() == []
        row = ButtonOrder.objects.get()
        assert (row.status, row.reason) == ("failed", "finalized")

    def test_cancelled_and_back_before_the_call(self):
        self.set_status("Cancelled")
        self.order.refresh_from_db()

        self.order.status = "Pending"
        self.order.save()

        assert self.new_calls() == []
        assert self.held() == WHOLE

    def test_cancelled_before_the_report(self):
        order = Shopper().buy(create_product("5.00", sku="CUP"))
        Clerk(order).act("change_order_status", new_status="Cancelled")

        assert self.new_calls() == []

    def test_many_cancelled(self):
        other = Shopper().buy(create_product("5.00", sku="CUP"))
        assert self.new_calls() == ["POST"]

        self.clerk.client.post(
            reverse("dashboard:order-list"),
            {
                "selected_order": [self.order.pk, other.pk],
                "action": "change_order_statuses",
                "new_status": "Cancelled",
            },
        )

        assert self.new_calls() == ["DELETE", "DELETE"]

    def test_cancelled_line(self):
        self.set_line_status([self.mugs], "Cancelled")

        assert self.new_calls() == ["POST"]
        assert self.held() == (4000, {"PLATE": (4, 4000)})

    def test_all_lines_cancelled(self):
        self.set_line_status([self.mugs, self.plates], "Cancelled")

        assert self.new_calls() == ["POST"]
        assert self.held() == NOTHING

    def test_refunded_order(self):
        self.set_status("Being processed", "Complete", "Refunded")

        assert self.new_calls() == ["POST"]
        assert self.held() == NOTHING

    def test_refunded_and_later_cancelled_line(self):
        self.refund(amount="48.00")
        self.held()

        self.set_line_status([self.mugs], "Cancelled")

        assert self.held() == (4000, {"PLATE": (4, 4000)})

    def test_cancelled_units(self):
        self.ship({self.mugs: 1}, "cancelled")

        assert self.held() == ONE_MUG_LESS


class ReturnTests(DashboardTestCase):
    def test_returned(self):
        self.ship({self.mugs: 1})
        assert self.new_calls() == []

        self.ship({self.mugs: 1}, "returned")

        assert self.new_calls() == ["POST"]
        assert self.held() == ONE_MUG_LESS

    def test_returned_in_two_parcels(self):
        self.ship({self.mugs: 1, self.plates: 1}, "returned")
        self.ship({self.plates: 2}, "returned")

        assert self.held() == (3000, {"MUG": (1, 2000), "PLATE": (1, 1000)})

    def test_refunded(self):
        self.refund({self.mugs: 1}, amount="24.00")

        assert self.new_calls() == ["POST"]
        assert self.held() == ONE_MUG_LESS

    def test_refunded_with_the_price_of_the_line(self):
        """Without an amount, the dashboard enters the price of all units."""
        self.refund({self.mugs: 1})

        assert self.order.payment_events.get().amount == 48
        assert self.held() == ONE_MUG_LESS

    def test_returned_and_refunded(self):
        self.ship({self.mugs: 1}, "returned")
        assert self.new_calls() == ["POST"]

        self.refund({self.mugs: 1}, amount="24.00")

        assert self.new_calls() == []
        assert self.held() == ONE_MUG_LESS

    def test_returned_and_refunded_without_lines(self):
        self.ship({self.mugs: 1}, "returned")
        assert self.new_calls() == ["POST"]

        self.refund(amount="24.00")

        assert self.new_calls() == []
        assert self.held() == ONE_MUG_LESS

    def test_more_refunded_than_returned(self):
        self.ship({self.mugs: 1}, "returned")
        self.refund({self.mugs: 1, self.plates: 2}, amount="48.00")

        assert self.held() == (4000, {"MUG": (1, 2000), "PLATE": (2, 2000)})

    def test_refunds_of_two_types(self):
        self.refund({self.mugs: 1}, amount="24.00")
        self.refund({self.mugs: 1}, amount="24.00", kind="partial-refund")

        assert self.held() == (4000, {"PLATE": (4, 4000)})

    def test_more_refunded_than_the_line_holds(self):
        self.refund({self.mugs: 2}, amount="48.00")
        self.refund({self.mugs: 2}, amount="48.00", kind="partial-refund")

        assert self.held() == (4000, {"PLATE": (4, 4000)})

    def test_lower_price(self):
        """The customer keeps a damaged mug, and gets 6.00 back: 5.00 without tax."""
        self.refund({self.mugs: 1}, amount="6.00")

        assert self.held() == (7500, {"MUG": (2, 3500), "PLATE": (4, 4000)})

    def test_all_returned(self):
        self.ship({self.mugs: 2, self.plates: 4}, "returned")

        assert self.new_calls() == ["POST"]
        assert self.held() == NOTHING


class GoodwillTests(DashboardTestCase):
    def test_shared_out_without_tax(self):
        self.refund(amount="12.00")

        assert self.new_calls() == ["POST"]
        assert self.held() == (7000, {"MUG": (2, 3500), "PLATE": (4, 3500)})

    def test_to_the_last_cent(self):
        self.refund(amount="0.02")

        total, lines = self.held()

        # 0.02 with tax are 0.0167 without it.
        assert (total, sorted(lines.values())) == (7998, [(2, 3999), (4, 3999)])

    def test_negative_amount(self):
        self.refund(amount="-12.00")

        assert self.held()[0] == 7000

    def test_everything_with_delivery(self):
        self.refund(amount="102.00")

        assert self.held() == (0, {"MUG": (2, 0), "PLATE": (4, 0)})

    def test_more_than_was_paid(self):
        self.refund(amount="500.00")

        assert self.held()[0] == 0

    def test_beside_a_refund_of_lines(self):
        self.refund({self.mugs: 1}, amount="24.00")
        self.refund(amount="12.00")

        total, lines = self.held()

        assert total == 5000
        assert lines["MUG"][0] == 1

    def test_more_than_what_was_returned(self):
        self.ship({self.mugs: 1}, "returned")
        self.refund(amount="36.00")

        # 24.00 of it paid for the mug.
        assert self.held()[0] == 5000


class NamesOfTheShopTests(DashboardTestCase):
    def setUp(self):
        super().setUp()
        usual = type(find_adapter(Order))
        self.addCleanup(self.replace, usual)

    def replace(self, adapter_class):
        unregister(Order)
        register(Order)(adapter_class)

    def use(self, **attributes):
        self.replace(type("OwnNames", (OscarOrderAdapter,), attributes))

    def test_statuses(self):
        self.use(cancelled_statuses=["being processed"])

        self.set_status("Being processed")

        assert self.new_calls() == ["DELETE"]

    def test_line_statuses(self):
        self.use(cancelled_line_statuses=["Shipped"])

        self.set_line_status([self.mugs], "Being processed", "Shipped")

        assert self.held() == (4000, {"PLATE": (4, 4000)})

    def test_events(self):
        self.use(return_events=["Shipped"], refund_events=["paid"])

        self.ship({self.mugs: 1})
        self.ship({self.mugs: 1}, "returned")
        self.refund({self.plates: 2}, amount="24.00", kind="paid")
        self.refund({self.plates: 2}, amount="24.00")

        assert self.held() == (4000, {"MUG": (1, 2000), "PLATE": (2, 2000)})

    def test_returned_statuses(self):
        self.use(returned_statuses=[])

        self.set_status("Being processed", "Complete", "Refunded")

        assert self.new_calls() == []

    def test_reportable_statuses(self):
        self.use(reportable_statuses=["Being processed"])
        order = Shopper().buy(create_product("5.00", sku="CUP"))
        assert self.new_calls() == []

        Clerk(order).act("change_order_status", new_status="Being processed")

        assert self.new_calls() == ["POST"]

    def test_all_returned_is_a_cancellation(self):
        self.use(cancel_when_all_returned=True)
        self.ship({self.mugs: 2}, "returned")
        assert self.new_calls() == ["POST"]

        self.ship({self.plates: 4}, "returned")

        assert self.new_calls() == ["DELETE"]

    def test_all_refunded_is_a_cancellation(self):
        self.use(cancel_when_all_returned=True)

        self.refund(amount="102.00")

        assert self.new_calls() == ["DELETE"]

    def test_free_order_is_no_cancellation(self):
        self.use(cancel_when_all_returned=True)

        Shopper().buy(create_product("0.00", sku="CUP"))

        assert self.new_calls() == ["POST"]
