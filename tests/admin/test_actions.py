from __future__ import annotations

import re
from unittest import mock

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.messages import get_messages
from django.db import OperationalError, connection
from django.test import Client, TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.functional import cached_property

from django_button_orders.admin.actions import MAX_AT_ONCE
from django_button_orders.models import ButtonOrder, QueuedAction
from django_button_orders.models.clock import from_now
from django_button_orders.tasks import report_due_orders
from tests import celery
from tests.admin.utils import LIST_URL, AdminTestCase, create_user, page_url, text_of
from tests.utils import button_settings, create_row

VERBS = ("retry", "dismiss", "cancel")
MOVED = {"retry": "pending", "dismiss": "dismissed", "cancel": "pending"}
rows = ButtonOrder.objects


class VerbTestCase(AdminTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        rows.update(status="failed", reason="refused", next_attempt_at=None)

    def press(self, verb, **options):
        """Press a button on the page of the row."""
        return self.client.post(page_url(self.row, verb), **options)

    def status(self):
        return rows.get(pk=self.row.pk).status

    def message(self, response):
        """Return the latest message. Each press adds one."""
        return [str(message) for message in get_messages(response.wsgi_request)][-1]


class ButtonTests(VerbTestCase):
    def test_each_with_its_permission(self):
        for verb in VERBS:
            with self.subTest(verb=verb):
                self.put(status="failed")
                self.log_in("view_buttonorder", f"{verb}_buttonorder", name=verb)

                response = self.press(verb)

                assert response.status_code == 302
                assert response["Location"] == page_url(self.row)
                assert self.status() == MOVED[verb]

    def test_view_is_not_enough(self):
        self.log_in("view_buttonorder", "change_buttonorder")
        for verb in VERBS:
            with self.subTest(verb=verb):
                assert self.press(verb).status_code == 403
                assert self.status() == "failed"

    def test_another_verb_is_not_enough(self):
        self.log_in("view_buttonorder", "dismiss_buttonorder")

        assert self.press("retry").status_code == 403
        assert self.press("cancel").status_code == 403

    def test_verb_without_view(self):
        self.log_in(*(f"{verb}_buttonorder" for verb in VERBS))
        for verb in VERBS:
            with self.subTest(verb=verb):
                assert self.press(verb).status_code == 403
                assert self.status() == "failed"

    def test_anonymous(self):
        self.client.logout()
        for verb in VERBS:
            with self.subTest(verb=verb):
                assert "/login/" in self.press(verb)["Location"]
                assert self.status() == "failed"

    def test_get(self):
        for verb in VERBS:
            with self.subTest(verb=verb):
                response = self.client.get(page_url(self.row, verb))

                assert response.status_code == 405
                assert self.status() == "failed"

    def test_csrf(self):
        self.client = Client(enforce_csrf_checks=True)
        self.client.force_login(self.user)

        assert self.press("retry").status_code == 403
        assert self.status() == "failed"

    def test_csrf_token_of_the_page(self):
        self.client = Client(enforce_csrf_checks=True)
        self.client.force_login(self.user)
        token = self.client.get(page_url(self.row)).context["csrf_token"]

        self.press("retry", data={"csrfmiddlewaretoken": str(token)})

        assert self.status() == "pending"

    def test_unknown_row(self):
        url = page_url(self.row, "retry").replace(str(self.row.pk), "999")

        assert self.client.post(url).status_code == 404

    def test_filters_of_the_list_are_kept(self):
        query = "?_changelist_filters=status__exact%3Dfailed"

        response = self.client.post(f"{page_url(self.row, 'retry')}{query}")

        assert response["Location"] == f"{page_url(self.row)}{query}"

    def test_logged(self):
        logged = {"retry": "Retried.", "dismiss": "Dismissed."}
        logged["cancel"] = "Cancellation requested."
        for verb, text in logged.items():
            with self.subTest(verb=verb):
                self.put(status="failed")

                self.press(verb)

                entry = LogEntry.objects.latest("pk")
                assert entry.get_change_message() == text
                assert entry.user == self.user
                assert entry.get_edited_object() == self.row

    def test_note(self):
        response = self.press("dismiss", data={"note": " A test order. "})

        assert self.message(response) == "1 order was dismissed."
        assert rows.get(pk=self.row.pk).last_error == "A test order."
        message = LogEntry.objects.get().get_change_message()
        assert message == "Dismissed. Note: A test order."
        assert "It was dismissed a moment ago: A test order." in self.page()

    def test_no_note(self):
        self.put(last_error="Because.")

        self.press("dismiss", data={"note": " "})

        assert rows.get(pk=self.row.pk).last_error == "Because."
        assert LogEntry.objects.get().get_change_message() == "Dismissed."

    def test_note_that_cannot_be_kept(self):
        for note in ("x" * 501, "a\0b"):
            with self.subTest(note=note[:3]):
                response = self.press("dismiss", data={"note": note})

                assert "characters" in self.message(response)
                assert response["Location"] == page_url(self.row)
                assert self.status() == "failed"

    def test_note_is_for_dismissing(self):
        self.press("retry", data={"note": "A test order."})

        assert self.status() == "pending"
        assert LogEntry.objects.get().get_change_message() == "Retried."

    def test_next(self):
        targets = {"/admin/shop/": "/admin/shop/", "//elsewhere.test": None}
        for url, target in targets.items():
            with self.subTest(url=url):
                response = self.press("retry", data={"next": url})

                assert response["Location"] == (target or page_url(self.row))

    def test_not_applicable(self):
        self.put(status="reported")

        response = self.press("retry")

        assert self.message(response) == (
            "1 was skipped: only failed, dismissed and closed orders can be retried."
        )
        assert self.status() == "reported"
        assert not LogEntry.objects.exists()


class ShownButtonTests(VerbTestCase):
    def shown(self):
        """Return the names of the verbs that have a button on the page."""
        html = self.client.get(page_url(self.row)).content.decode()
        return {
            verb for verb in VERBS if f'action="{page_url(self.row, verb)}"' in html
        }

    def test_by_state(self):
        by_status = {
            "pending": {"cancel"},
            "reported": {"cancel"},
            "cancelled": set(),
            "failed": {"retry", "dismiss", "cancel"},
            "dismissed": {"retry", "cancel"},
            "closed": {"retry", "cancel"},
        }
        for status, verbs in by_status.items():
            with self.subTest(status=status):
                self.put(status=status)

                assert self.shown() == verbs

    def test_cancelled_once(self):
        self.press("cancel")

        assert self.shown() == set()

    def test_by_permission(self):
        for verb in VERBS:
            with self.subTest(verb=verb):
                self.log_in("view_buttonorder", f"{verb}_buttonorder", name=verb)

                assert self.shown() == {verb}

    def test_view_only(self):
        self.log_in("view_buttonorder")

        assert self.shown() == set()


class TroubleTests(VerbTestCase):
    def test_busy_database(self):
        def busy(execute, sql, *args):
            if sql.startswith("UPDATE") and rows.model._meta.db_table in sql:
                raise OperationalError("Lock wait timeout exceeded")
            return execute(sql, *args)

        with connection.execute_wrapper(busy):
            response = self.press("retry")

        assert "The database is busy" in self.message(response)
        assert self.status() == "failed"
        assert not LogEntry.objects.exists()


@override_settings(BUTTON_ORDERS=button_settings())
class TransactionTests(TransactionTestCase):
    def test_none_is_around_the_request(self):
        """The rollback of a batch must not roll back its message."""
        ContentType.objects.clear_cache()
        row, depths = create_row(), []
        self.client.force_login(create_user(name="root", is_superuser=True))

        def watch(execute, sql, *args):
            if sql.startswith("UPDATE") and rows.model._meta.db_table in sql:
                depths.append(len(connection.savepoint_ids))
            return execute(sql, *args)

        connection.settings_dict["ATOMIC_REQUESTS"] = True
        self.addCleanup(connection.settings_dict.update, ATOMIC_REQUESTS=False)
        for verb in VERBS:
            rows.update(status="failed", cancel_requested_at=None)
            with connection.execute_wrapper(watch):
                self.client.post(page_url(row, verb))

        assert depths == [0, 0, 0]


def many_url(verb):
    return reverse(f"admin:django_button_orders_buttonorder_{verb}_many")


def signed_in(response):
    """Return the signed keys in the form of a confirmation, or None."""
    match = re.search(r'name="selection" value="([^"]+)"', response.content.decode())
    return match and match[1]


class Asking:
    """Select orders on the list, open the confirmation, and confirm it."""

    def ask(self, verb, query="", **values):
        """Run an action on all orders of the list, and return its confirmation."""
        pks = list(rows.values_list("pk", flat=True)[:100])
        data = {"action": f"{verb}_orders", "_selected_action": pks, **values}
        return self.client.post(f"{LIST_URL}{query}", data)

    def say_yes(self, verb, page, **values):
        data = {"selection": signed_in(page) or "", **values}
        return self.client.post(many_url(verb), data)

    def act(self, verb, **values):
        return self.say_yes(verb, self.ask(verb), **values)


class ConfirmationTests(Asking, VerbTestCase):
    """The confirmation shows what would change, and changes nothing."""

    def add(self, status, **values):
        row = create_row(order_id=f"{rows.count()}-{status}")
        rows.filter(pk=row.pk).update(status=status, **values)
        return row

    def test_changes_nothing(self):
        for verb in VERBS:
            with self.subTest(verb=verb):
                page = self.ask(verb)

                assert page.status_code == 200
                assert signed_in(page)
                assert self.status() == "failed"
                assert not LogEntry.objects.exists()

    def test_counts_and_consequences(self):
        self.add("failed", reason="refused", currency="JPY", total=500)
        self.add("failed", reason="invalid")
        self.add("reported")
        self.add("pending")
        said = {
            "retry": (
                "Retry 3 orders? ",
                "2 · Failed: Button refused it 1 · Failed: No valid report could be ",
                "1 · Already reported ",
                "1 · They will be sent automatically ",
                "500 JPY , 140.00 USD ",
            ),
            "dismiss": (
                "Dismiss 3 orders? ",
                "1 · Pending, not failed ",
                "Nothing more is sent for dismissed orders",
            ),
            "cancel": (
                "Cancel 5 orders at Button? ",
                "1 · Pending ",
                "1 · Reported ",
                "This cannot be undone",
            ),
        }
        for verb, texts in said.items():
            text = text_of(self.ask(verb))
            for part in texts:
                with self.subTest(verb=verb, part=part):
                    assert part in text

    def test_asked_for_before(self):
        self.add("pending", cancel_requested_at=self.row.created_at)
        self.add("cancelled")

        text = text_of(self.ask("cancel"))

        assert "Cancel 1 order at Button?" in text
        assert "1 · Cancellation already requested" in text
        assert "1 · Already cancelled at Button" in text

    def test_nothing_to_do(self):
        self.put(status="cancelled")
        for verb in VERBS:
            with self.subTest(verb=verb):
                page = self.ask(verb)

                assert signed_in(page) is None
                assert "Nothing was changed." in text_of(page)

    def test_nothing_left_of_the_selection(self):
        self.put(status="reported")

        page = self.ask("retry", "?status__exact=failed")

        assert "Nothing was changed." in text_of(page)

    def test_every_reason_to_skip(self):
        """Each verb has a reason for each status that it skips."""
        for status in ButtonOrder.Status:
            self.add(status)
            self.add(status, cancel_requested_at=self.row.created_at)
        for verb in VERBS:
            with self.subTest(verb=verb):
                assert self.ask(verb).status_code == 200

    def test_only_the_selected(self):
        other = self.add("failed")

        page = self.ask("retry", _selected_action=[other.pk])

        assert "Retry 1 order?" in text_of(page)

    def test_all_that_match(self):
        self.add("failed", reason="invalid")

        page = self.ask(
            "retry",
            "?reason__exact=invalid",
            _selected_action=[self.row.pk],
            select_across="1",
        )

        assert "Retry 1 order?" in text_of(page)
        assert "1 · Failed: No valid report could be built" in text_of(page)

    def test_all_that_match_without_a_tick(self):
        """Without JavaScript, "all that match" comes without any tick."""
        page = self.ask("retry", _selected_action=[], select_across=["0", "1"])

        assert "Retry 1 order?" in text_of(page)

    def test_way_back_keeps_the_filter(self):
        page = self.ask("retry", "?reason__exact=refused")

        html = page.content.decode()
        assert f'href="{LIST_URL}?reason__exact=refused"' in html
        assert "_changelist_filters=reason__exact%3Drefused" in html

    @override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10_000)
    def test_more_than_a_form_can_carry(self):
        page = self.ask("retry")

        assert signed_in(page) is None
        assert "These are too many orders for one form." in text_of(page)

    @override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=None)
    def test_forms_without_a_limit(self):
        assert signed_in(self.ask("retry"))

    def test_no_customer(self):
        self.put(customer={"id": "u-77"}, customer_order_id="c-77", btn_ref="t-77")

        assert b"-77" not in self.ask("retry").content

    def test_note_is_asked_for_where_there_is_use_for_it(self):
        assert "Note for colleagues" in text_of(self.ask("dismiss"))
        assert "Note for colleagues" not in text_of(self.ask("cancel"))


class ActionTests(Asking, VerbTestCase):
    def test_each_with_its_permission(self):
        for verb in VERBS:
            with self.subTest(verb=verb):
                self.put(status="failed")
                self.log_in("view_buttonorder", f"{verb}_buttonorder", name=verb)

                response = self.act(verb)

                assert response["Location"] == LIST_URL
                assert self.status() == MOVED[verb]

    def test_view_is_not_enough(self):
        pages = {verb: self.ask(verb) for verb in VERBS}
        self.log_in("view_buttonorder", "change_buttonorder")
        for verb, page in pages.items():
            with self.subTest(verb=verb):
                assert self.ask(verb).status_code == 302
                assert self.say_yes(verb, page).status_code == 403
                assert self.status() == "failed"

    def test_verb_without_view(self):
        page = self.ask("retry")
        self.log_in("retry_buttonorder")

        assert self.say_yes("retry", page).status_code == 403
        assert self.status() == "failed"

    def test_offered_by_permission(self):
        for verb in VERBS:
            with self.subTest(verb=verb):
                self.log_in("view_buttonorder", f"{verb}_buttonorder", name=verb)

                form = self.client.get(LIST_URL).context["action_form"]

                names = [name for name, _label in form.fields["action"].choices if name]
                assert names == [f"{verb}_orders", "export_orders"]

    def test_anonymous(self):
        page = self.ask("retry")
        self.client.logout()

        assert self.ask("retry").status_code == 302
        assert self.say_yes("retry", page).status_code == 302
        assert self.status() == "failed"

    def test_get(self):
        selection = signed_in(self.ask("retry"))

        response = self.client.get(many_url("retry"), {"selection": selection})

        assert response.status_code == 405
        assert self.status() == "failed"

    def test_csrf(self):
        page = self.ask("retry")
        self.client = Client(enforce_csrf_checks=True)
        self.client.force_login(self.user)

        assert self.ask("retry").status_code == 403
        assert self.say_yes("retry", page).status_code == 403
        assert self.status() == "failed"

    def test_no_deleting(self):
        self.ask("delete", action="delete_selected", post="yes")

        assert rows.count() == 1

    def test_closed_order(self):
        """Button is asked again, whatever is known of the window."""
        self.put(status="closed", reason="finalized", finalizes_at=from_now(-60))

        response = self.say_yes("retry", self.ask("retry"))

        assert self.message(response) == "1 order will be sent again."
        assert rows.values_list("status", "finalizes_at").get() == ("pending", None)

    def test_counted(self):
        create_row(order_id="1995")
        rows.filter(order_id="1995").update(status="failed")
        page = self.ask("retry")
        self.put(status="reported")

        response = self.say_yes("retry", page)

        assert self.message(response) == (
            "1 order will be sent again. "
            "1 was skipped: only failed, dismissed and closed orders can be "
            "retried."
        )
        assert LogEntry.objects.count() == 1

    def test_what_came_later_is_not_touched(self):
        """The action runs on the counted orders, although more match by then."""
        page = self.ask("retry", "?status__exact=failed", select_across="1")
        create_row(order_id="1995")
        rows.filter(order_id="1995").update(status="failed")

        self.say_yes("retry", page)

        assert rows.get(order_id="1995").status == "failed"
        assert self.status() == "pending"

    def test_one(self):
        done = {
            "retry": "1 order will be sent again.",
            "dismiss": "1 order was dismissed.",
            "cancel": "1 order will be cancelled at Button.",
        }
        for verb, text in done.items():
            with self.subTest(verb=verb):
                self.put(status="failed")

                assert self.message(self.act(verb)) == text

    def test_logged(self):
        logged = {"retry": "Retried.", "dismiss": "Dismissed."}
        logged["cancel"] = "Cancellation requested."
        for verb, text in logged.items():
            with self.subTest(verb=verb):
                self.put(status="failed")

                self.act(verb)

                entry = LogEntry.objects.latest("pk")
                assert entry.get_change_message() == text
                assert entry.user == self.user
                assert entry.get_edited_object() == self.row

    def test_note(self):
        self.act("dismiss", note="  Settled by phone. ")

        assert rows.get().last_error == "Settled by phone."
        message = LogEntry.objects.get().get_change_message()
        assert message == "Dismissed. Note: Settled by phone."

    def test_note_that_cannot_be_kept(self):
        for note in ("x" * 501, "a\0b"):
            with self.subTest(note=note[:3]):
                response = self.act("dismiss", note=note)

                assert "characters" in self.message(response)
                assert self.status() == "failed"

    def test_no_note_where_none_is_asked_for(self):
        self.act("retry", note="Smuggled in.")

        assert LogEntry.objects.get().get_change_message() == "Retried."

    def test_filters_of_the_list_are_kept(self):
        query = "?_changelist_filters=status__exact%3Dfailed"
        data = {"selection": signed_in(self.ask("retry"))}

        response = self.client.post(f"{many_url('retry')}{query}", data)

        assert response["Location"] == f"{LIST_URL}?status__exact=failed"

    def test_statements_do_not_grow_with_the_orders(self):
        with CaptureQueriesContext(connection) as one:
            self.act("dismiss")
        rows.bulk_create(
            ButtonOrder(order_id=f"no {number}", status="failed", currency="USD")
            for number in range(100)
        )
        rows.filter(pk=self.row.pk).delete()

        with CaptureQueriesContext(connection) as hundred:
            self.act("dismiss")

        # Django caches content types at first use, which costs queries.
        assert len(hundred) <= len(one)
        assert rows.filter(status="dismissed").count() == 100
        assert LogEntry.objects.count() == 101

    def test_busy_database(self):
        page = self.ask("retry")

        def busy(execute, sql, *args):
            if sql.startswith("UPDATE") and ButtonOrder._meta.db_table in sql:
                raise OperationalError("Lock wait timeout exceeded")
            return execute(sql, *args)

        with connection.execute_wrapper(busy):
            response = self.say_yes("retry", page)

        assert "so some orders were not changed" in self.message(response)
        assert self.status() == "failed"


@override_settings(BUTTON_ORDERS=button_settings())
class LargeSetTests(Asking, TransactionTestCase):
    """The next sweep runs an action on more than ``MAX_AT_ONCE`` orders."""

    count = MAX_AT_ONCE + 1

    def setUp(self):
        ContentType.objects.clear_cache()
        self.user = create_user(name="root", is_superuser=True)
        self.client.force_login(self.user)
        rows.bulk_create(
            ButtonOrder(order_id=f"no {number}", status="failed", reason="refused")
            for number in range(self.count)
        )
        celery.take_messages()

    @cached_property
    def page(self):
        return self.ask("dismiss", select_across="1")

    def say_yes_and_read(self):
        response = self.say_yes("dismiss", self.page, note="Not Ada's fault")
        [message] = self.client.get(response["Location"]).context["messages"]
        return str(message)

    def dismissed(self):
        return rows.filter(status="dismissed", last_error="Not Ada's fault").count()

    def test_asked(self):
        assert "Dismiss 1001 orders?" in text_of(self.page)
        assert "they are changed in the background" in text_of(self.page)

    def test_left_to_the_next_sweep(self):
        message = self.say_yes_and_read()

        assert message.startswith("1001 orders will be changed by the next sweeps.")
        assert self.dismissed() == 0
        assert celery.take_messages() == []
        entry = LogEntry.objects.get()
        assert (entry.user, entry.object_repr) == (self.user, "Dismiss: 1001 orders")
        report_due_orders()
        assert self.dismissed() == self.count
        assert LogEntry.objects.count() == self.count + 1
        logged = LogEntry.objects.exclude(pk=entry.pk)
        assert set(logged.values_list("user", "change_message")) == {
            (self.user.pk, "Dismissed. Note: Not Ada's fault")
        }

    def test_database_that_does_not_say_the_keys_of_many(self):
        """Some databases, such as MySQL, do not return the keys of a bulk insert."""
        kind = type(connection.features)
        with mock.patch.object(kind, "can_return_rows_from_bulk_insert", False):
            self.say_yes_and_read()

        report_due_orders()
        assert self.dismissed() == self.count

    def test_nothing_is_queued_without_its_log_entry(self):
        page = self.page

        def fail(execute, sql, *args):
            if sql.startswith("INSERT") and QueuedAction._meta.db_table in sql:
                raise OperationalError("The disk is full.")
            return execute(sql, *args)

        with connection.execute_wrapper(fail):
            response = self.say_yes("dismiss", page)

        assert "so some orders were not changed" in self.message(response)
        assert not LogEntry.objects.exists()
        assert not QueuedAction.objects.exists()

    def message(self, response):
        return [str(message) for message in get_messages(response.wsgi_request)][-1]

    def test_taken_back(self):
        """An operator's request is withdrawn by deleting its log entry."""
        self.say_yes_and_read()
        LogEntry.objects.all().delete()

        report_due_orders()

        assert self.dismissed() == 0
        assert not QueuedAction.objects.exists()
