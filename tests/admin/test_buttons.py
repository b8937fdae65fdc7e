from __future__ import annotations

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.messages import get_messages
from django.db import OperationalError, connection
from django.test import Client, TransactionTestCase, override_settings

from django_button_orders.models import ButtonOrder
from tests.admin.utils import AdminTestCase, create_user, page_url
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
        """Press a button of the row's page."""
        return self.client.post(page_url(self.row, verb), **options)

    def status(self):
        return rows.get(pk=self.row.pk).status

    def message(self, response):
        """Return the latest message, which is the only new one."""
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
        logged["cancel"] = "Cancellation asked for."
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
            "1 was skipped: only failed and dismissed orders can be retried."
        )
        assert self.status() == "reported"
        assert not LogEntry.objects.exists()


class ShownButtonTests(VerbTestCase):
    def shown(self):
        """Return the verbs whose buttons are on the page."""
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
        """An undone batch must not undo what is said of it."""
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
