from __future__ import annotations

from datetime import timedelta

import responses
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.test import Client, TransactionTestCase, override_settings
from django.urls import reverse
from django.utils import timezone

from django_button_orders.delivery.sweep import report_due
from django_button_orders.models import ButtonOrder, PausedAccount, Submission
from django_button_orders.models.clock import from_now
from tests.admin.utils import AdminTestCase, create_user, page_url, text_of
from tests.celery import app
from tests.utils import add_answer, button_settings, create_row

LIST_URL = reverse("admin:django_button_orders_pausedaccount_changelist")
ADD_URL = reverse("admin:django_button_orders_pausedaccount_add")
paused = PausedAccount.objects


def url_of(account, view):
    name = f"admin:django_button_orders_pausedaccount_{view}"
    return reverse(name, args=[account.pk])


def message_of(response):
    return [str(message) for message in get_messages(response.wsgi_request)][-1]


class PausedAccountTests(AdminTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        paused.all().pause("eu", seconds=290, error="<b>401</b>")
        paused.update(paused_at=timezone.now() - timedelta(hours=3, minutes=5))
        cls.account = paused.get()

    def url(self, view):
        return url_of(self.account, view)

    def test_list(self):
        response = self.client.get(LIST_URL)

        assert " eu " in text_of(response)
        assert b"&lt;b&gt;401" in response.content

    def test_page(self):
        page = text_of(self.client.get(self.url("change")))

        assert "<b>401</b>" in page
        assert "Button refused the API key of the account eu 3 hours ago" in page
        assert "one order tests the key automatically in 4 minutes." in page

    def test_read_only(self):
        assert self.client.get(ADD_URL).status_code == 403
        assert self.client.post(self.url("change"), {}).status_code == 403
        assert self.client.post(self.url("delete"), {}).status_code == 403
        assert paused.exists()


class ResumeTests(AdminTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        for account in ("default", "eu"):
            paused.all().pause(account, seconds=300, error="401")
        cls.account = paused.get(account="default")
        cls.url = url_of(cls.account, "resume")

    def accounts(self):
        return set(paused.values_list("account", flat=True))

    def test_resumed(self):
        response = self.client.post(self.url)

        assert self.accounts() == {"eu"}
        assert response["Location"] == LIST_URL
        assert "The account default is resumed" in message_of(response)

    def test_logged(self):
        self.client.post(self.url)

        entry = LogEntry.objects.get()
        assert entry.user == self.user
        assert entry.object_repr == "default"
        assert entry.object_id == str(self.account.pk)
        assert entry.get_change_message() == "Resumed."

    def test_not_paused_any_more(self):
        paused.all().delete()

        response = self.client.post(self.url)

        assert message_of(response) == "The account is no longer paused."
        assert not LogEntry.objects.exists()

    def test_strange_keys(self):
        for key in ("x", "9" * 30, "-1", "é"):
            with self.subTest(key=key):
                url = self.url.replace(f"/{self.account.pk}/", f"/{key}/")

                assert self.client.post(url).status_code == 302
                assert self.accounts() == {"default", "eu"}

    def test_get(self):
        assert self.client.get(self.url).status_code == 405
        assert self.accounts() == {"default", "eu"}

    def test_csrf(self):
        self.client = Client(enforce_csrf_checks=True)
        self.client.force_login(self.user)

        assert self.client.post(self.url).status_code == 403
        assert self.accounts() == {"default", "eu"}

    def test_permission(self):
        self.log_in("view_pausedaccount", "view_buttonorder", "retry_buttonorder")

        assert self.client.post(self.url).status_code == 403
        assert self.accounts() == {"default", "eu"}

    def test_permission_alone(self):
        """Who may not view the account may not resume it either."""
        self.log_in("resume_pausedaccount", "view_buttonorder")

        assert self.client.post(self.url).status_code == 403
        assert self.accounts() == {"default", "eu"}

    def test_both_permissions(self):
        self.log_in("resume_pausedaccount", "view_pausedaccount")

        response = self.client.post(self.url)

        assert self.accounts() == {"eu"}
        assert response["Location"] == LIST_URL

    def test_next(self):
        page = page_url(self.row)
        for url, target in {page: page, "https://elsewhere.test/": LIST_URL}.items():
            with self.subTest(url=url):
                response = self.client.post(self.url, {"next": url})

                assert response["Location"] == target

    def test_action(self):
        keys = list(paused.values_list("pk", flat=True))
        data = {"action": "resume_accounts", "_selected_action": keys}

        response = self.client.post(LIST_URL, data)

        assert self.accounts() == set()
        assert "The accounts default, eu are resumed" in message_of(response)
        assert LogEntry.objects.count() == 2

    def test_action_needs_the_permission(self):
        self.log_in("view_pausedaccount")
        data = {"action": "resume_accounts", "_selected_action": [self.account.pk]}

        self.client.post(LIST_URL, data)

        assert self.accounts() == {"default", "eu"}


class ShownTests(AdminTestCase):
    """The pages with a button to resume an account."""

    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        paused.all().pause("default", seconds=300, error="401")
        cls.form = f'action="{url_of(paused.get(), "resume")}"'

    def html(self, url):
        return self.client.get(url).content.decode()

    def test_page_of_an_order(self):
        html = self.html(page_url(self.row))

        assert self.form in html
        assert "Resume the account default</button>" in html
        assert f'name="next" value="{page_url(self.row)}"' in html

    def test_page_of_the_account(self):
        assert self.form in self.html(url_of(paused.get(), "change"))

    def test_permission(self):
        self.log_in("view_buttonorder", "view_pausedaccount", "change_buttonorder")

        assert self.form not in self.html(page_url(self.row))
        assert self.form not in self.html(url_of(paused.get(), "change"))

    def test_permission_without_the_one_to_view_the_account(self):
        self.log_in("view_buttonorder", "resume_pausedaccount")

        assert self.form not in self.html(page_url(self.row))

    def test_another_account(self):
        paused.update(account="eu")

        assert self.form not in self.html(page_url(self.row))


@override_settings(BUTTON_ORDERS=button_settings())
class GoingOnTests(TransactionTestCase):
    """Resuming an account reports the orders that waited for it."""

    def setUp(self):
        self.client.force_login(create_user(name="root", is_superuser=True))
        self.row = create_row()
        waiting = {"reason": "unauthorized", "last_status_code": 401}
        ButtonOrder.objects.update(next_attempt_at=from_now(300), **waiting)
        paused.all().pause("default", seconds=300, error="401")
        create_row(order_id="1995")

    def resume(self):
        self.client.post(url_of(paused.get(), "resume"))

    def statuses(self):
        return set(ButtonOrder.objects.values_list("status", flat=True))

    @responses.activate
    def test_they_are_sent(self):
        add_answer("POST")
        report_due(using="default")
        assert self.statuses() == {"pending"}

        self.resume()
        report_due(using="default")

        assert self.statuses() == {"reported"}

    @responses.activate
    @override_settings(BUTTON_ORDERS=button_settings(DOORBELL="thread"))
    def test_a_worker_is_called(self):
        """Resuming rings, so that the orders need not wait for the next sweep."""
        app.conf.task_always_eager = True
        self.addCleanup(setattr, app.conf, "task_always_eager", False)
        add_answer("POST")

        self.resume()

        # One ring is enough: its worker reports the other due orders, too.
        submission = Submission.objects.get()
        assert submission.trigger == "admin"
        assert submission.user.username == "root"
        assert submission.button_order.status == "reported"

    @responses.activate
    def test_key_is_still_refused(self):
        add_answer("POST", status=401)

        self.resume()
        report_due(using="default")

        assert paused.get().account == "default"
        assert self.statuses() == {"pending"}
        assert set(ButtonOrder.objects.values_list("attempts", flat=True)) == {0}

    def test_others_wait_on(self):
        ButtonOrder.objects.filter(pk=self.row.pk).update(last_status_code=403)

        self.resume()

        assert list(ButtonOrder.objects.waiting()) == [self.row]
