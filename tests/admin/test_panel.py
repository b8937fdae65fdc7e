from __future__ import annotations

import re
from collections import Counter
from datetime import datetime, timedelta, timezone
from html import unescape

from django.db import connection
from django.test import SimpleTestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from django_button_orders.admin.panel import HEIGHT, WIDTH, draw_chart
from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.clock import from_now
from django_button_orders.models.snapshots import Snapshot, SubmissionHour
from django_button_orders.monitoring.snapshot import database_time
from tests.admin.utils import LIST_URL, AdminTestCase, page_url, text_of
from tests.monitoring.utils import add_calls, pretend_large, sweep
from tests.utils import PURCHASED, button_settings, create_row

LINK = re.compile(r'<a href="([^"]+)"><span>([^<]+)</span> <strong>([^<]+)</strong>')


class PanelTestCase(AdminTestCase):
    def setUp(self):
        super().setUp()
        sweep("default")

    def get(self, query=""):
        response = self.client.get(f"{LIST_URL}{query}")
        assert response.status_code == 200
        return response

    def panel(self, query=""):
        """Return the HTML of the panel."""
        html = self.get(query).content.decode()
        start = html.index('<section class="button-order-panel"')
        return html[start : html.index("</section>", start)]

    def text(self, query=""):
        """Return the text of the panel."""
        text = text_of(self.get(query))
        return text[text.index("Reporting to Button") : text.index("Action:")]

    def links(self):
        """Return the URL and the number of each linked figure, by name."""
        found = LINK.findall(self.panel())
        return {name: (unescape(url), number) for url, name, number in found}

    def add(self, count, *, prefix="more", **values):
        for number in range(count):
            row = create_row(order_id=f"{prefix}-{number}")
            ButtonOrder.objects.filter(pk=row.pk).update(**values)


class SummaryTests(PanelTestCase):
    def test_no_orders(self):
        self.row.delete()

        assert "There are no orders yet." in self.text()

    def test_all_is_well(self):
        self.put(status="reported")

        assert "Everything is reported." in self.text()

    def test_one(self):
        assert "1 order is waiting to be reported." in self.text()

    def test_of_another_site(self):
        """The list that a sentence links to has as many orders as it says."""
        self.put(site="live")
        self.add(1)

        text = self.text()

        assert (
            "2 orders are waiting to be reported. "
            "1 of them is not reported from here, because another site reports it."
        ) in text
        assert "Warning: 1 pending order in the database default is not" in text
        assert f'<a href="{LIST_URL}?status__exact=pending">2 orders' in self.panel()
        assert "?state=of_other_sites" in self.panel()

    def test_what_needs_a_person_comes_first(self):
        self.put(status="failed")
        self.add(2, next_attempt_at=from_now(-700))

        assert (
            "1 order failed and needs attention. "
            "2 orders are stuck: they should have been reported by now. "
            "2 orders are waiting to be reported."
        ) in self.text()

    def test_late_tokens(self):
        self.put(status="reported", has_late_token=True)

        assert (
            "1 order was reported without its current attribution token." in self.text()
        )
        assert f'<a href="{LIST_URL}?token=late">1 order was' in self.panel()

    def test_sentences_are_links(self):
        self.put(next_attempt_at=from_now(-700))

        panel = self.panel()

        for query in ("state=stuck", "status__exact=pending"):
            assert f'<a href="{LIST_URL}?{query}">1 order is ' in panel


class FigureTests(PanelTestCase):
    def test_each_leads_to_the_list_of_what_it_has_counted(self):
        self.add(2, prefix="failed", status="failed", reason="refused")
        self.add(1, prefix="invalid", status="failed", reason="invalid")
        self.add(3, prefix="waiting", next_attempt_at=from_now(60))
        self.add(1, prefix="stuck", next_attempt_at=from_now(-700))
        self.add(2, prefix="in flight", lease_expires_at=from_now(60))
        self.add(4, prefix="done", status="reported")

        links = self.links()

        for name, number in {
            "Pending": "7",
            "Due now": "2",
            "Waiting to retry": "3",
            "In flight": "2",
            "Stuck": "1",
            "Reported": "4",
            "Cancelled": "0",
            "Failed": "3",
            "Button refused it": "2",
            "No valid report could be built": "1",
            "Dismissed": "0",
        }.items():
            with self.subTest(name=name):
                url, shown = links[name] if name != "Failed" else self.failed()
                assert shown == number
                assert len(self.list(url.removeprefix(LIST_URL))) == int(number)

    def failed(self):
        """Return a figure of the orders, not the amount of the same name."""
        found = [item for item in LINK.findall(self.panel()) if item[1] == "Failed"]
        return unescape(found[0][0]), found[0][2]

    def test_amounts(self):
        self.add(2, status="failed", total=1234567, currency="JPY")
        self.add(1, prefix="new", total=None, currency=None)
        self.add(1, prefix="saved", total=None, currency=None, purchase_date=None)
        self.add(1, prefix="empty", status="failed", currency="")
        self.add(1, prefix="odd", status="failed", currency="CHF", purchase_date=None)

        amounts = [
            (name, number, self.list(unescape(url).removeprefix(LIST_URL)))
            for url, name, number in LINK.findall(self.panel())[-5:]
        ]

        assert amounts == [
            ("Waiting", "70.00 USD", ["1994"]),
            ("Waiting", "2 orders of unknown amounts", ["saved-0", "new-0"]),
            ("Failed", "70.00 CHF", ["odd-0"]),
            ("Failed", "2,469,134 JPY", ["more-1", "more-0"]),
            ("Failed", "1 order of an unknown amount", ["empty-0"]),
        ]

    def test_late_returns(self):
        assert "Late returns" not in self.text()
        late = {"status": "closed", "reported_total": 9000}
        self.add(2, late_amount=2000, **late)
        self.add(1, prefix="raise", late_amount=-500, **late)
        self.add(1, prefix="yen", late_amount=300, currency="JPY", **late)

        assert "Late returns Closed 300 JPY Closed 40.00 USD" in self.text()
        assert "Unreported amounts Waiting 70.00 USD Late" in self.text()
        self.add(1, prefix="unknown", status="closed")
        assert "40.00 USD Closed 1 order of an unknown amount" in self.text()
        query = "status__exact=closed&amp;currency=JPY"
        assert f'<a href="{LIST_URL}?{query}"><span>Closed</span>' in self.panel()

    def test_closed_orders_need_nobody(self):
        self.put(status="closed", reason="finalized", late_amount=0)

        assert "Everything is reported." in self.text()
        assert self.links()["Closed"] == (f"{LIST_URL}?status__exact=closed", "1")

    def test_no_amounts(self):
        self.put(status="reported")

        assert "Unreported amounts None." in self.text()

    def test_large_numbers_are_grouped(self):
        Snapshot.objects.update(
            taken_at=database_time("default"),
            seconds=1,
            figures={
                "groups": [{"status": "reported", "orders": 1234567}],
                "hours": {},
            },
        )

        assert "Reported 1,234,567 " in self.text()

    def test_oldest(self):
        self.put(next_attempt_at=from_now(-7300))

        assert f'<a href="{page_url(self.row)}">1994</a> due for 2 hours' in (
            self.panel()
        )

    def test_nothing_due(self):
        self.put(next_attempt_at=from_now(60))

        assert "No order is due." in self.text()


class CallTests(PanelTestCase):
    def test_none(self):
        text = self.text()

        assert "Calls 0 0 Succeeded - - Median duration - - 95th percentile - -" in text
        assert "No calls." in text
        assert "<svg" not in self.panel()

    def test_periods(self):
        add_calls(self.row, *[20] * 18, 40)
        add_calls(self.row, 1500, outcome="failed")
        days_ago = database_time("default") - timedelta(days=3)
        add_calls(self.row, *[10] * 1980, started_at=days_ago)
        # The hours so long ago were counted before these calls existed: count again.
        SubmissionHour.objects.all().delete()

        assert (
            "Calls 20 2,000 Succeeded 95.0 % 99.9 % "
            "Median duration 20 ms 10 ms 95th percentile 40 ms 10 ms"
        ) in self.text()

    def test_chart(self):
        add_calls(self.row, 10, 10, 10)
        add_calls(self.row, 10, outcome="failed")

        panel = self.panel()

        assert '<rect class="button-order-bar-succeeded"' in panel
        assert '<rect class="button-order-bar-failed"' in panel
        assert panel.count("<g>") == 1
        assert "4 calls, at most 4 in an hour." in panel
        assert ": 3, 0, 1</title>" in panel

    def test_table_beside_the_chart(self):
        add_calls(self.row, 10, 10)

        table = self.panel().partition("As a table")[2]

        assert table.count('<th scope="row">') == 24
        assert table.count("<td>2</td>") == 1

    def test_chart_in_another_language(self):
        # SVG cannot read numbers with a decimal comma.
        add_calls(self.row, 10, 10, 10)
        add_calls(self.row, 10, outcome="failed")

        with translation.override("de"), override_settings(LANGUAGE_CODE="de"):
            panel = self.panel()

        assert not re.findall(r' (?:x|y|width|height)="[^"]*,', panel)
        assert re.findall(r' y="[0-9.]+"', panel)


class PausedTests(PanelTestCase):
    def setUp(self):
        super().setUp()
        PausedAccount.objects.pause("eu", seconds=60, error="No <b>such</b> key.")
        self.paused = PausedAccount.objects.get()

    def test_reason(self):
        panel = self.panel()

        assert "Button refused the API key of the account eu a moment ago" in panel
        assert "No &lt;b&gt;such&lt;/b&gt; key." in panel

    def test_none(self):
        self.paused.delete()

        assert "Paused accounts" not in self.text()

    def test_resume(self):
        url = f"/admin/django_button_orders/pausedaccount/{self.paused.pk}/resume/"
        assert f'<form method="post" action="{url}">' in self.form()
        assert "csrfmiddlewaretoken" in self.form()

        response = self.client.post(url, {"next": LIST_URL})

        assert response["Location"] == LIST_URL
        assert "The account eu is resumed" in text_of(self.get())
        assert not self.form()

    def test_resume_is_for_those_who_may(self):
        self.log_in("view_buttonorder")
        assert not self.form()

        self.log_in("view_buttonorder", "resume_pausedaccount", name="ann")
        assert not self.form()

        self.log_in(
            "view_buttonorder", "view_pausedaccount", "resume_pausedaccount", name="eve"
        )
        assert "Resume the account eu" in self.form()

    def form(self):
        panel = self.panel()
        return panel[panel.index("<form") :] if "<form" in panel else ""


class AlertTests(PanelTestCase):
    def test_none(self):
        assert "Warning" not in self.text()

    def test_closing_unsent(self):
        self.put(finalizes_at=PURCHASED)
        url = f"{LIST_URL}?state=closing_unsent"
        warning = (
            f'<strong>Warning:</strong> <a href="{url}">The change window of 1 order '
            "closes within 24 hours, and its change is unsent (Nov. 1, 2026, 6 a.m.)."
        )

        assert warning in self.panel()

        self.add(1, status="failed", finalizes_at=from_now(3600))
        assert (
            "Warning: The change windows of 2 orders close within 24 hours, and their "
            "changes are unsent (the first: Nov. 1, 2026, 6 a.m.)."
        ) in self.text()
        assert self.list("?state=closing_unsent") == ["more-0", "1994"]

    def test_sweep(self):
        Snapshot.objects.update(swept_at=from_now(-1500))

        text = self.text()

        assert "Warning: No sweep has run in the database default for 25 " in text
        assert "Last sweep 25 minutes ago" in text

    @override_settings(BUTTON_ORDERS=button_settings(API_KEY=""))
    def test_settings(self):
        assert "Warning: The account default has no API_KEY" in self.text()

    @override_settings(BUTTON_ORDERS=button_settings(ENABLED=False))
    def test_off(self):
        assert "Warning: ENABLED is False for the account default" in self.text()


class SnapshotTests(PanelTestCase):
    def test_age(self):
        pretend_large(taken_at=database_time("default") - timedelta(seconds=200))

        assert "counted 3 minutes ago, and may have changed since." in self.panel()

    def test_small_tables_are_counted_anew(self):
        Snapshot.objects.update(seconds=9)
        create_row(order_id="1995")

        panel = self.panel()

        assert "2 orders are waiting" in panel
        assert "counted" not in panel

    def test_large_tables_are_left_alone(self):
        pretend_large()

        with CaptureQueriesContext(connection) as queries:
            self.get("?status__exact=failed")

        counts = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
        assert all("__count" in sql for sql in counts)

    def test_not_where_nobody_sees_it(self):
        data = {"action": "cancel_orders", "_selected_action": [self.row.pk]}
        with CaptureQueriesContext(connection) as queries:
            response = self.client.post(LIST_URL, data)

        assert "Cancel 1 order at Button?" in text_of(response)
        assert not any(Snapshot._meta.db_table in query["sql"] for query in queries)

    def test_popup(self):
        assert "Reporting to Button" not in text_of(self.get("?_popup=1"))


class FoldTests(PanelTestCase):
    def test_two_lines_where_all_is_well(self):
        self.put(status="reported")

        assert "<details open>" not in self.panel()
        assert "<ul" not in self.panel().partition("<details")[0]

    def test_failed_orders_are_named_with_their_reasons(self):
        self.put(status="failed", reason="refused")
        self.add(2, status="failed", reason="invalid")

        shown = self.panel().partition("<details")[0]

        assert "3 orders failed and need attention." in shown
        query = "status__exact=failed&amp;reason__exact=invalid"
        assert f'?{query}">No valid report could be built</a>: 2' in shown
        assert shown.index("No valid report") < shown.index("Button refused it")


class PermissionTests(PanelTestCase):
    def test_view(self):
        self.log_in("view_buttonorder")

        assert "1 order is waiting" in self.text()


START = datetime(2026, 11, 1, tzinfo=timezone.utc)


def hours(*counts):
    """Return hours, each with a tuple: succeeded, retried and failed calls."""
    outcomes = ("succeeded", "will_retry", "failed")
    return {
        START + timedelta(hours=at): {
            outcome: Counter({10: number})
            for outcome, number in zip(outcomes, numbers, strict=True)
            if number
        }
        for at, numbers in enumerate(counts)
    }


class ChartTests(SimpleTestCase):
    def test_nothing(self):
        chart = draw_chart(hours((0, 0, 0), (0, 0, 0)))

        assert (chart.total, chart.most) == (0, 0)
        assert [bar.blocks for bar in chart.bars] == [[], []]

    def test_counts(self):
        chart = draw_chart(hours((3, 0, 1), (0, 2, 0)))

        assert [bar.counts for bar in chart.bars] == [[3, 0, 1], [0, 2, 0]]
        assert chart.totals == [3, 2, 1]
        assert (chart.total, chart.most) == (6, 4)

    def test_from_the_ground_up(self):
        [bar] = draw_chart(hours((3, 0, 1))).bars

        assert [(b.outcome, b.y, b.height) for b in bar.blocks] == [
            ("succeeded", 25, 75),
            ("failed", 0, 25),
        ]

    def test_shares_of_the_busiest_hour(self):
        _, bar = draw_chart(hours((4, 0, 0), (1, 0, 0))).bars

        assert bar.blocks[0].height == 25

    def test_bars_stand_side_by_side(self):
        bars = draw_chart(hours(*[(1, 0, 0)] * 24)).bars

        ends = [bar.x + bar.width for bar in bars]
        assert all(end < bar.x for end, bar in zip(ends, bars[1:], strict=False))
        assert ends[-1] <= WIDTH

    def test_little_is_seen_beside_much(self):
        [bar] = draw_chart(hours((100_000, 1, 1))).bars

        assert all(block.height > 1.5 for block in bar.blocks)
        assert sum(block.height for block in bar.blocks) <= HEIGHT + 0.01
        assert all(block.y >= 0 for block in bar.blocks)
        for below, above in zip(bar.blocks, bar.blocks[1:], strict=False):
            assert abs(above.y + above.height - below.y) < 0.02
