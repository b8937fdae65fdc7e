"""The dashboard of Grafana and the alert rules name metrics that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from django.test import SimpleTestCase, TestCase, override_settings

from django_button_orders.monitoring.current import find_statistics
from django_button_orders.monitoring.metrics import METRICS, PING, Sample, make_samples
from tests.monitoring.utils import add_calls, sweep
from tests.snippets.page import find_blocks
from tests.utils import button_settings, create_row

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "monitoring" / "grafana-dashboard.json"
PAGE = ROOT / "docs" / "howto" / "prometheus.rst"
# A metric with the labels that are compared, and the labels that group it.
METRIC = re.compile(r"(button_orders_\w+)(?:\{([^}]*)\})?")
LABEL = re.compile(r'(\w+)(=~|=)"([^"]*)"')
GROUPS = re.compile(r"\bby \(([^)]*)\)")


def dashboard():
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def dashboard_expressions():
    return [
        target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]
    ]


def rules():
    [rules] = [
        yaml.safe_load(block.code)
        for block in find_blocks(PAGE)
        if block.language == "yaml"
    ]
    return [rule for group in rules["groups"] for rule in group["rules"]]


def all_samples():
    """Return samples of all metrics, for orders in each status."""
    for number, status in enumerate(
        ["pending", "reported", "cancelled", "closed", "failed", "dismissed"]
    ):
        create_row(order_id=str(number), status=status, late_amount=1)
    elsewhere = create_row(order_id="elsewhere", site="live", reported_revision=1)
    add_calls(elsewhere, 250)
    sweep()
    yield from make_samples(find_statistics("default"))
    yield Sample(PING, {"account": "default"}, 1)


@override_settings(BUTTON_ORDERS=button_settings())
class ExpressionTests(TestCase):
    def setUp(self):
        self.labels = {}
        for sample in all_samples():
            labels = self.labels.setdefault(sample.metric.name, {})
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)

    def check(self, expression):
        found = METRIC.findall(expression)
        for name, labels in found:
            assert name in self.labels, f"There is no metric {name}."
            for label, operator, value in LABEL.findall(labels):
                assert label in self.labels[name], f"{name} has no label {label}."
                if operator == "=":
                    assert value in self.labels[name][label], f"{label}: {value}"
            for label in ",".join(GROUPS.findall(expression)).split(","):
                known = {"", *self.labels[name]}
                assert label.strip() in known, f"{name} has no label {label}."
        return {name for name, _ in found}

    def test_samples_of_all_metrics(self):
        assert set(self.labels) == {metric.name for metric in METRICS}

    def test_dashboard_shows_all_metrics(self):
        shown = set().union(*map(self.check, dashboard_expressions()))

        assert shown == set(self.labels)

    def test_rules(self):
        for rule in rules():
            with self.subTest(rule["alert"]):
                assert self.check(rule["expr"])

    def test_something_unknown(self):
        for expression in (
            "button_orders_order",
            'button_orders_orders{state="due"}',
            'button_orders_orders{status="lost"}',
            "sum by (currency) (button_orders_orders)",
        ):
            with self.subTest(expression), pytest.raises(AssertionError):
                self.check(expression)


class LayoutTests(SimpleTestCase):
    def test_panels_do_not_overlap(self):
        cells = [
            (x, y)
            for position in (panel["gridPos"] for panel in dashboard()["panels"])
            for x in range(position["x"], position["x"] + position["w"])
            for y in range(position["y"], position["y"] + position["h"])
        ]

        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) < 24

    def test_each_panel_has_an_id_and_a_title(self):
        panels = dashboard()["panels"]

        assert len({panel["id"] for panel in panels}) == len(panels)
        assert all(panel["title"] for panel in panels)

    def test_sources_are_variables(self):
        text = DASHBOARD.read_text(encoding="utf-8")

        assert set(re.findall(r'"uid": "(\$[^"]*)"', text)) == {"${datasource}"}
        names = {item["name"] for item in dashboard()["templating"]["list"]}
        assert names == {"datasource", "database"}
