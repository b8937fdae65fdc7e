"""Find what several orders have in common and should not."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from django_button_orders.monitoring.preflight.findings import SHOWN_IDS, Findings
from django_button_orders.report.objects import OrderReport

# A token or a customer is on many orders from the first number on, and from the second
# if that is more than this part of the orders with any token or customer.
MANY = 5
FEW = 3
TOKEN_PART = 0.2
CUSTOMER_PART = 0.5


class Repeats:
    """The values of a field, each with the number of its orders and some IDs."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.order_ids: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, value: str, order_id: str) -> None:
        if value:
            self.counts[value] += 1
            if len(self.order_ids[value]) < SHOWN_IDS:
                self.order_ids[value].append(order_id)

    def report(self, code: str, findings: Findings, *, at_least: float) -> None:
        """Add a finding for the orders of the values that are too frequent."""
        for value, count in self.counts.most_common():
            if count < at_least:
                return
            findings.add(code, *self.order_ids[value], count=count)


class AllRepeats:
    """What is looked for in all orders of a run."""

    def __init__(self) -> None:
        self.order_ids = Repeats()
        self.tokens = Repeats()
        self.customers = Repeats()

    def add_order(self, account: str, order_id: str) -> None:
        self.order_ids.add(f"{account} {order_id}", order_id)

    def add_report(self, report: OrderReport) -> None:
        order_id = str(report.order_id)
        self.tokens.add(report.btn_ref or "", order_id)
        customer: Any = report.customer
        if customer is not None:
            self.customers.add(customer.email_sha256 or customer.id, order_id)

    def report(self, findings: Findings) -> None:
        """Add the findings about all orders, after the last one."""
        self.order_ids.report("repeated_order_id", findings, at_least=2)
        tokens = self.tokens.counts.total()
        few = max(FEW, TOKEN_PART * tokens)
        self.tokens.report("repeated_token", findings, at_least=min(MANY, few))
        customers = self.customers.counts.total()
        most = max(MANY, CUSTOMER_PART * customers)
        self.customers.report("shared_customer", findings, at_least=most)
