from __future__ import annotations

import pytest
import responses
from django.contrib.contenttypes.models import ContentType
from django.db import OperationalError, connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_button_orders.models import ButtonOrder, Difference
from django_button_orders.reconcile.run import fix
from tests.reconcile.utils import (
    ShopTestCase,
    kinds,
)
from tests.shop.models import Order, OrderLine, Page
from tests.utils import (
    LONG_AGO,
    OK,
    add_answer,
    button_settings,
    calls,
    create_row,
    order_url,
)


class MissingTests(ShopTestCase):
    def write_new(self, **values):
        return Order.objects.bulk_create([Order(**{"number": "1994", **values})])[0]

    def test_missing(self):
        order = self.write_new()

        assert self.compare(fixes=True) == {"missing": 1, "fixed": 1}
        assert self.row().get_source() == order
        assert self.report() == "reported"

    def test_not_reportable(self):
        self.write_new(is_paid=False)

        assert self.compare(fixes=True) == {"not_reportable": 1, "fixed": 0}
        assert not ButtonOrder.objects.exists()

    def test_cancelled_before_it_was_ever_sent(self):
        """Button need not know an order that was cancelled at once."""
        self.write_new(is_cancelled=True)

        assert self.compare() == {"not_reportable": 1}

    def test_adapter_that_cannot_tell_if_it_is_cancelled(self):
        self.write_new(trouble="is_cancelled")

        assert self.compare(fixes=True) == {"missing": 1, "fixed": 1}
        with self.assertLogs("django_button_orders", "WARNING"):
            assert self.report() == "failed"

    def test_adapter_that_raises(self):
        """The order gets one failed row with the error, and no second one."""
        self.write_new(trouble="get_order_id", email="ada@example.com")

        with self.assertLogs("django_button_orders", "ERROR"):
            assert self.compare(fixes=True) == {"invalid": 1, "fixed": 1}
        row = self.row()
        assert (row.status, row.reason) == ("failed", "invalid")
        assert self.compare(fixes=True) == {"failed": 1, "fixed": 0}
        assert self.row().revision == row.revision
        difference = Difference.objects.get()
        assert "get_order_id: TroubleError at " in difference.error
        assert "No luck" not in difference.error

    def test_other_row_with_its_id(self):
        """The same ID in another account is another order."""
        create_row(account="eu")
        self.write_new()

        assert self.compare()["missing"] == 1


class ChangedTests(ShopTestCase):
    def test_changed(self):
        order = self.place()
        self.write(order, total=65)
        add_answer("POST", order_url())

        assert self.compare() == {"changed": 1}
        assert Difference.objects.get().values == {"total": [7000, 6500]}
        revision = self.row().revision
        assert self.compare(fixes=True) == {"changed": 1, "fixed": 1}
        # It is marked once, however often it is compared before it is reported.
        assert self.compare(fixes=True) == {"waiting": 1, "fixed": 0}
        assert self.row().revision == revision + 1
        assert self.report() == "reported"
        assert calls() == ["POST /v1/order/1994"]
        assert self.compare() == {"agree": 1}

    def test_line(self):
        order = self.place()
        OrderLine.objects.bulk_create([OrderLine(order=order, sku="a", price=7)])

        assert self.compare() == {"changed": 1}
        assert "line_items.a" in Difference.objects.get().values

    def test_customer_is_not_shown(self):
        order = self.place(email="ada@example.com")
        digest = self.row().customer["email_sha256"]
        self.write(order, email="eve@example.com")

        assert self.compare() == {"changed": 1}
        values = Difference.objects.get().values
        assert list(values) == ["customer.email_sha256"]
        assert digest not in str(values)
        assert "example.com" not in str(values)

    def test_token_that_came_too_late(self):
        """No update sends the token. The row says so once a worker has seen it."""
        order = self.place()
        self.write(order, btn_ref="srctok-2")

        assert self.compare(fixes=True) == {"changed": 1, "fixed": 1}
        assert list(Difference.objects.get().values) == ["btn_ref"]
        assert self.report() == "reported"
        assert self.row().has_late_token

        assert self.compare(fixes=True) == {"token": 1, "fixed": 0}
        difference = Difference.objects.get()
        assert difference.fixed_at is None
        assert "no later report can" in difference.error
        assert difference.values["btn_ref"][0] is None
        assert "srctok" not in str(difference.values)
        assert self.row().status == "reported"

    def test_token_that_goes_back(self):
        order = self.place()
        self.write(order, btn_ref="srctok-2")
        self.compare(fixes=True)
        self.report()
        self.write(order, btn_ref="")

        assert self.compare(fixes=True) == {"changed": 1, "fixed": 1}
        self.report()

        assert not self.row().has_late_token
        assert self.compare() == {"agree": 1}

    def test_cancelled(self):
        order = self.place()
        self.write(order, is_cancelled=True)
        add_answer("DELETE", order_url())

        assert self.compare(fixes=True) == {"changed": 1, "fixed": 1}
        assert Difference.objects.get().values == {"status": ["open", "cancelled"]}
        assert self.report() == "cancelled"
        assert self.compare(fixes=True) == {"agree": 1, "fixed": 0}

    def test_not_cancelled_any_more(self):
        """A cancellation is final, so the row will fail."""
        order = self.place()
        add_answer("DELETE", order_url())
        order.is_cancelled = True
        order.save()
        self.report()
        self.write(order, is_cancelled=False)

        assert self.compare(fixes=True) == {"changed": 1, "fixed": 1}
        assert Difference.objects.get().values == {"status": ["cancelled", "open"]}
        assert self.report() == "failed"
        assert self.compare(fixes=True) == {"failed": 1, "fixed": 0}

    def test_pending_rows_need_nothing(self):
        order = Order.objects.create(number="1994")
        self.write(order, total=65)

        assert self.compare(fixes=True) == {"waiting": 1, "fixed": 0}
        assert self.row().revision == 1

    def test_no_report_can_be_built_any_more(self):
        """An attempt could only make it fail, so Button keeps the last report."""
        order = self.place()
        self.write(order, trouble="build")

        with self.assertNoLogs("django_button_orders"):
            assert self.compare(fixes=True) == {"invalid": 1, "fixed": 0}
        assert self.report() == "reported"
        difference = Difference.objects.get()
        assert difference.fixed_at is None
        assert "ShopOrderAdapter.build: TroubleError at " in difference.error
        self.write(order, trouble="")
        assert self.compare() == {"agree": 1}
        assert not kinds()

    def test_order_that_has_lost_its_id(self):
        order = self.place()
        self.write(order, trouble="get_order_id")

        assert self.compare(fixes=True) == {"invalid": 1, "fixed": 0}
        # No second row is added.
        assert self.row().status == "reported"

    def test_database_that_is_away(self):
        self.place()

        def go_away(execute, sql, params, many, context):
            if "shop_orderline" in sql:
                raise OperationalError("It went away.")
            return execute(sql, params, many, context)

        with (
            connection.execute_wrapper(go_away),
            pytest.raises(OperationalError),
        ):
            self.compare()
        assert not Difference.objects.exists()

    def test_as_many_queries_for_many_as_for_few(self):
        counts = []
        for number in range(30):
            order = self.place(number=f"{number}")
            self.write(order, total=65)
            if number in (9, 29):
                (comparison, _) = self.comparisons()
                page = comparison.keyset.page("", 100)
                # This adapter does not prefetch lines, so each build queries once.
                with CaptureQueriesContext(connection) as queries:
                    comparison.compare(page)
                counts.append(len(queries) - 2 * len(page))

        assert counts[0] == counts[1]


class OtherSourceTests(ShopTestCase):
    """The order's ID has the row of another order."""

    def write_new(self, **values):
        values = {"number": "1994", "total": 65, **values}
        return Order.objects.bulk_create([Order(**values)])[0]

    def test_other_one_is_gone(self):
        self.place().delete()
        order = self.write_new()
        add_answer("POST", order_url())

        assert self.compare()["missing"] == 1
        assert self.compare(fixes=True) == {"missing": 1, "fixed": 1}
        assert self.row().get_source() == order
        assert self.report() == "reported"
        assert calls() == ["POST /v1/order/1994"]
        assert self.compare(fixes=True) == {"agree": 1, "fixed": 0}
        assert not kinds()

    def test_row_that_was_dismissed(self):
        self.place().delete()
        ButtonOrder.objects.mark_changed()
        assert self.report() == "dismissed"
        order = self.write_new()

        assert self.compare(fixes=True) == {"missing": 1, "fixed": 1}
        assert self.row().get_source() == order

    def test_nothing_to_report(self):
        self.place().delete()
        ButtonOrder.objects.update(status="dismissed")
        for values in ({"is_paid": False}, {"is_cancelled": True}):
            with self.subTest(values=values):
                order = self.write_new(**values)

                assert self.compare(fixes=True) == {"not_reportable": 1, "fixed": 0}
                order.delete()

    def test_both_exist(self):
        first = self.place()
        second = self.write_new(email="jane@shop.test")

        assert self.compare() == {"agree": 1, "invalid": 1}
        difference = Difference.objects.get()
        assert difference.order_id == f"shop.order:{second.pk}"
        assert difference.source_id == f"{second.pk}"
        assert "is not unique" in difference.error
        with self.assertLogs("django_button_orders", "ERROR"):
            assert self.compare(fixes=True) == {"agree": 1, "invalid": 1, "fixed": 1}
        row = ButtonOrder.objects.get(order_id="1994")
        assert (row.get_source(), row.total) == (first, 7000)
        placeholder = ButtonOrder.objects.failed().get()
        assert placeholder.get_source() == second

        # The same conflict is no new difference.
        ButtonOrder.objects.filter(pk=row.pk).update(status="reported")
        assert self.compare(fixes=True) == {"agree": 1, "failed": 1, "fixed": 0}
        assert ButtonOrder.objects.failed().get().revision == placeholder.revision
        placeholder.retry()
        assert self.compare() == {"agree": 1, "waiting": 1}
        ButtonOrder.objects.filter(pk=placeholder.pk).update(status="dismissed")
        assert self.compare() == {"agree": 2}

    def test_row_without_a_source(self):
        """A direct row belongs to the shop until the order is saved."""
        create_row()
        self.report()
        self.write_new()

        assert self.compare()["agree"] >= 1


class RenamedTests(ShopTestCase):
    """The model of the orders was renamed, so their rows have a stale content type."""

    def rename(self, **values):
        kind = ContentType.objects.create(app_label="old", model="order")
        ButtonOrder.objects.update(source_type=kind, **values)

    def test_attached_again(self):
        for fixes in ({}, {"fixes": True}):
            with self.subTest(fixes=fixes):
                Order.objects.all().delete()
                ButtonOrder.objects.all().delete()
                order = self.place()
                ContentType.objects.filter(app_label="old").delete()
                self.rename()

                counts = self.compare(**fixes)

                assert counts["agree"] == 1
                assert not kinds()
                row = self.row()
                assert row.get_source() == order
                assert (row.status, row.revision) == ("reported", 1)

    def test_changed_since(self):
        order = self.place()
        self.rename()
        self.write(order, total=65)
        add_answer("POST", order_url())

        assert self.compare(fixes=True) == {"changed": 1, "fixed": 1}
        assert self.report() == "reported"
        assert self.row().total == 6500

    def test_failed_for_it(self):
        """It is due again, as its order can be reported now."""
        self.place()
        self.rename(status="failed", reason="invalid", next_attempt_at=None)

        assert self.compare(fixes=True) == {"waiting": 1, "fixed": 0}
        assert self.report() == "reported"

    def test_older_than_the_dates(self):
        """The rows are compared, although their orders were not."""
        order = self.place()
        self.rename()
        (_, reported) = self.comparisons()

        result = reported.compare(reported.keyset.page("", 10))

        assert not result.errors
        assert self.row().get_source() == order

    def test_orders_that_are_gone(self):
        """A worker could do nothing with them, so they are not marked."""
        self.place().delete()
        self.rename()

        assert self.compare(fixes=True) == {"not_compared": 1, "fixed": 0}
        assert self.row().status == "reported"

    def test_row_of_another_model_with_the_same_key(self):
        """What --fix has marked is reported."""
        order = self.place()
        ContentType.objects.get_for_model(Page)
        ButtonOrder.objects.update(source_type=ContentType.objects.get_for_model(Page))
        self.write(order, total=65)
        add_answer("POST", order_url())

        assert self.compare(fixes=True)["fixed"] == 1
        assert self.report() == "reported"
        assert self.row().get_source() == order


class FailedTests(ShopTestCase):
    """Failed and dismissed rows are not marked, unless their order has changed."""

    def refuse(self):
        responses.reset()
        add_answer("POST", status=400)

    def test_same_again(self):
        self.refuse()
        self.place()
        before = ButtonOrder.objects.values().get()

        assert self.compare(fixes=True) == {"failed": 1, "fixed": 0}
        assert ButtonOrder.objects.values().get() == before

    def test_changed_since(self):
        self.refuse()
        order = self.place()
        self.write(order, total=65)

        assert self.compare(fixes=True) == {"changed": 1, "fixed": 1}

    def test_token_that_came_late(self):
        with override_settings(
            BUTTON_ORDERS=button_settings(REPORT_WITHOUT_TOKEN=False)
        ):
            order = self.place()
            assert self.row().reason == "no_token"
            assert self.compare() == {"agree": 1}
            self.write(order, btn_ref="srctok-1")

            assert self.compare(fixes=True) == {"changed": 1, "fixed": 1}
            assert self.report() == "reported"

    def test_dismissed_by_a_person(self):
        self.refuse()
        order = self.place()
        self.row().dismiss("Never mind.")

        assert self.compare(fixes=True) == {"agree": 1, "fixed": 0}
        self.write(order, total=65)
        assert self.compare(fixes=True) == {"changed": 1, "fixed": 1}

    def test_not_to_be_reported_any_more(self):
        order = Order.objects.create(number="1994")
        self.write(order, is_paid=False)
        assert self.report() == "dismissed"

        assert self.compare(fixes=True) == {"agree": 1, "fixed": 0}
        self.write(order, is_paid=True)
        assert self.compare(fixes=True) == {"changed": 1, "fixed": 1}
        assert self.report() == "reported"

    def test_cancellation_that_was_refused(self):
        """Button would refuse the cancellation again, so it is asked for once."""
        order = self.place()
        add_answer("DELETE", order_url(), status=403)
        self.write(order, is_cancelled=True)
        self.compare(fixes=True)
        assert self.report() == "closed"

        assert self.compare(fixes=True) == {"closed": 1, "fixed": 0}

    def test_cancellation_that_was_refused_without_an_acknowledgement(self):
        order = Order.objects.create(number="1994")
        ButtonOrder.objects.update(unanswered=1)
        add_answer("GET", order_url(), json={**OK, "object": {"currency": "USD"}})
        add_answer("DELETE", order_url(), status=403)
        self.write(order, is_cancelled=True)
        assert self.report() == "closed"

        assert self.compare(fixes=True) == {"closed": 1, "fixed": 0}

    def close(self):
        order = self.place()
        assert self.report() == "reported"
        ButtonOrder.objects.update(finalizes_at=LONG_AGO)
        self.write(order, total=65)
        assert self.compare(fixes=True) == {"changed": 1, "fixed": 1}
        assert self.report() == "closed"
        responses.calls.reset()
        return order

    def test_closed(self):
        """The change came too late once, and is not found again and again."""
        self.close()

        assert self.compare(fixes=True) == {"closed": 1, "fixed": 0}
        assert self.row().status == "closed"
        assert not kinds()

    def test_closed_and_changed_again(self):
        order = self.close()
        for total, amount in ((66, 400), (65, 500)):
            self.write(order, total=total)

            assert self.compare(fixes=True) == {"changed": 1, "fixed": 1}
            assert self.report() == "closed"
            assert self.row().late_amount == amount
            assert self.compare(fixes=True) == {"closed": 1, "fixed": 0}
        assert calls() == []

    def test_closed_and_changed_back(self):
        order = self.close()
        self.write(order, total=70)

        assert self.compare(fixes=True) == {"changed": 1, "fixed": 1}
        assert self.report() == "reported"
        assert self.compare(fixes=True) == {"agree": 1, "fixed": 0}
        assert calls() == []

    def test_closed_and_cancelled(self):
        order = self.close()
        for is_cancelled, amount in ((True, 7000), (False, 500)):
            self.write(order, is_cancelled=is_cancelled)

            assert self.compare(fixes=True) == {"changed": 1, "fixed": 1}
            assert self.report() == "closed"
            assert self.row().late_amount == amount
            assert self.compare(fixes=True) == {"closed": 1, "fixed": 0}
        assert calls() == []

    def test_closed_and_the_adapter_raises(self):
        order = self.close()
        self.write(order, trouble="build")

        assert self.compare(fixes=True) == {"closed": 1, "fixed": 0}

    def test_closed_and_the_id_raises(self):
        order = self.close()
        self.write(order, trouble="get_order_id")

        assert self.compare(fixes=True) == {"closed": 1, "fixed": 0}

    def test_given_up_before_it_was_filled_in(self):
        Order.objects.create(number="1994")
        ButtonOrder.objects.update(status="failed", reason="exhausted")

        assert self.compare(fixes=True) == {"failed": 1, "fixed": 0}

    def test_cancelled_after_a_refusal(self):
        self.refuse()
        order = self.place()
        self.write(order, is_cancelled=True)

        assert self.compare(fixes=True) == {"changed": 1, "fixed": 1}
        assert self.report() == "cancelled"
        assert self.compare(fixes=True) == {"agree": 1, "fixed": 0}

    def test_repaired_adapter(self):
        order = Order.objects.create(number="1994", trouble="build")
        with self.assertLogs("django_button_orders", "WARNING"):
            self.report()
            assert self.compare(fixes=True) == {"failed": 1, "fixed": 0}
        self.write(order, trouble="")

        assert self.compare(fixes=True) == {"changed": 1, "fixed": 1}
        assert self.report() == "reported"


class RowTests(ShopTestCase):
    """The comparison of rows that have no order to be found by."""

    def test_gone(self):
        self.place()
        Order.objects.all().delete()

        assert self.compare(fixes=True) == {"gone": 1, "fixed": 1}
        assert self.report() == "dismissed"
        assert self.compare() == {}
        assert calls() == []

    def test_direct_row_that_was_updated(self):
        create_row()
        self.report()
        ButtonOrder.objects.update(total=6500)
        add_answer("POST", order_url())

        assert self.compare(fixes=True) == {"changed": 1, "fixed": 1}
        assert self.report() == "reported"
        assert self.compare(fixes=True) == {"agree": 1, "fixed": 0}

    def test_direct_row_that_is_not_valid_any_more(self):
        create_row()
        self.report()
        ButtonOrder.objects.update(currency="???")

        assert self.compare(fixes=True) == {"invalid": 1, "fixed": 0}
        assert Difference.objects.get().error == "not valid: currency"
        assert self.report() == "reported"


class RaceTests(ShopTestCase):
    """The shop saves and workers report during the comparison."""

    def meanwhile(self, table, action, times=1):
        """Run an action before a table is queried, the first ``times`` times."""
        done = []

        def execute(run, sql, *args):
            if f'FROM "{table}"' in sql.replace("`", '"') and len(done) < times:
                done.append(True)
                action()
            return run(sql, *args)

        return connection.execute_wrapper(execute)

    def save_and_report(self, order):
        order.total = 60
        order.save()
        assert self.report() == "reported"

    def test_saved_and_reported_after_the_order_was_read(self):
        """The order changes and is reported after it was read: nothing differs."""
        order = self.place()
        add_answer("POST", order_url())
        with self.meanwhile(
            "django_button_orders_buttonorder", lambda: self.save_and_report(order)
        ):
            assert self.compare(fixes=True) == {"agree": 1, "fixed": 0}

    def test_saved_once_it_was_looked_at_again(self):
        """The row has changed since it was read, so it is waiting."""
        order = self.place()
        self.write(order, total=65)
        looks = []

        def save_at_the_second_look():
            looks.append(True)
            if len(looks) == 2:
                Order.objects.get().save()

        with self.meanwhile("shop_orderline", save_at_the_second_look, times=2):
            assert self.compare(fixes=True) == {"waiting": 1, "fixed": 0}

        assert len(looks) == 2
        assert self.row().revision == 2

    def test_saved_before_it_is_marked(self):
        """Both are reported by one call."""
        order = self.place()
        self.write(order, total=65)
        comparison, _ = self.comparisons()
        found = comparison.compare(comparison.keyset.page("", 10))
        order.refresh_from_db()
        order.total = 60
        order.save()

        fix(found, using="default")

        add_answer("POST", order_url())
        assert self.report() == "reported"
        assert calls() == ["POST /v1/order/1994"]
        assert self.row().total == 6000

    def test_made_by_somebody_else_just_now(self):
        Order.objects.bulk_create([Order(number="1994")])
        comparison, _ = self.comparisons()
        found = comparison.compare(comparison.keyset.page("", 10))
        Order.objects.get().save()
        before = ButtonOrder.objects.values().get()

        fix(found, using="default")

        assert ButtonOrder.objects.values().get() == before
