"""
One day of the example shop, with a web server, a worker, beat and a sandbox.

``python demo.py`` plays the day and ends. Its exit status is 0 only if the shop, the
database and Button agree at the end. ``python demo.py --serve`` leaves the shop
running, so that you can click through it.
"""

from __future__ import annotations

import json
import secrets
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from browser import Browser
from button import Button
from processes import DemoError, Processes, wait_for

import django_button_orders

OLD_ORDERS = 400
PASSWORD = "tea-and-mugs"
REFUSAL = "line_items[0].category: 'Kitchen' is not a category of this brand"


def say(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def step(number: int, text: str) -> None:
    say(f"\n{number}. {text}")


class Day:
    """The steps of the day, in the order of ``play()``."""

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self.button = Button(processes.sandbox_url)
        self.clerk = Browser(processes.shop_url)

    def open_shop(self) -> None:
        say(f"Using {Path(django_button_orders.__file__).parent}")
        self.processes.manage("migrate", "--verbosity", "0")
        self.processes.manage("stock_shop")
        self.processes.manage(
            "createsuperuser",
            "--noinput",
            "--username=clerk",
            "--email=clerk@example.com",
            DJANGO_SUPERUSER_PASSWORD=PASSWORD,
        )
        self.processes.start_all()
        self.clerk.open("/admin/login/?next=/admin/")
        self.clerk.submit(username="clerk", password=PASSWORD)
        say(f"The shop is open at {self.processes.shop_url}")
        say(f"Button's sandbox is at {self.processes.sandbox_url}/sandbox")

    def play(self) -> None:
        self.sell()
        self.sell_while_button_is_down()
        self.correct_refused_order()
        self.return_a_mug()
        self.cancel_an_order()
        self.backfill()
        self.compare()

    def buy(self, *, from_partner: bool = True, **quantities: int) -> str:
        """Buy products in the shop, and return the order's number."""
        customer = Browser(self.processes.shop_url)
        token = f"fakesrctok-{secrets.token_hex(8)}"
        customer.open(f"/?btn_ref={token}" if from_partner else "/")
        customer.open("/checkout/")
        wanted = {key.replace("_", "-"): value for key, value in quantities.items()}
        page = customer.submit(email="jane@example.com", **wanted)
        if 'id="number">' not in page:
            raise DemoError("The checkout did not end with an order number.")
        number = page.partition('id="number">')[2].partition("<")[0]
        say(f"   {number} {'with a token of a partner' if from_partner else 'without'}")
        return number

    def reports(self) -> dict[str, dict[str, Any]]:
        orders: dict[str, dict[str, Any]]
        orders = json.loads(self.processes.manage("list_orders"))
        return orders

    def wait_for_button(self, *numbers: str, seconds: float = 30) -> None:
        start = time.monotonic()
        wait_for(
            f"Button to have {', '.join(numbers)}",
            lambda: self.button.has(*numbers),
            seconds,
        )
        say(f"   Button has them after {time.monotonic() - start:.1f} s.")

    def sell(self) -> None:
        step(1, "Customers come from partners' pages and buy.")
        numbers = [
            self.buy(MUG_1=2, TEA_9=1),
            self.buy(POT_2=1),
            self.buy(CUP_4=1, from_partner=False),
        ]
        self.wait_for_button(*numbers)
        self.returned_later, self.cancelled_later, _ = numbers

    def sell_while_button_is_down(self) -> None:
        step(2, "Button is down for a while. The shop continues to sell.")
        self.button.misbehave(status=503, times=100_000)
        numbers = [self.buy(MUG_1=1), self.buy(TEA_9=3)]
        time.sleep(3)
        if self.button.has(numbers[0]) or self.button.has(numbers[1]):
            raise DemoError("Button was not down.")
        say("   Button is back. Nobody does anything.")
        self.button.behave()
        self.wait_for_button(*numbers, seconds=60)

    def correct_refused_order(self) -> None:
        step(3, "Button refuses an order.")
        error = {"meta": {"status": "error"}, "error": {"message": REFUSAL}}
        self.button.misbehave(status=400, body=json.dumps(error), method="POST")
        number = self.buy(MUG_1=4)
        wait_for(
            "the refusal to be seen",
            lambda: self.reports()[number]["report"] == "failed",
        )
        page = self.open_button_order(number)
        if "is not a category of this brand" not in page:
            raise DemoError("The admin does not show why Button refused the order.")
        say(f"   The admin shows why: {REFUSAL}")
        self.clerk.open(f"/admin/shop/product/{self.product_id('MUG-1')}/change/")
        self.clerk.submit(category="Tableware")
        say("   The clerk puts the product's category right, and presses Retry.")
        self.open_button_order(number)
        self.clerk.submit("/retry/")
        self.wait_for_button(number)

    def product_id(self, sku: str) -> str:
        self.clerk.open("/admin/shop/product/")
        row = self.clerk.page.partition(sku)[0].rpartition("/admin/shop/product/")[2]
        return row.partition("/")[0]

    def open_button_order(self, number: str) -> str:
        return self.find("/admin/django_button_orders/buttonorder/", number)

    def open_shop_order(self, number: str) -> str:
        return self.find("/admin/shop/order/", number)

    def find(self, path: str, number: str) -> str:
        """Search a list of the admin, and open the first result."""
        page = self.clerk.open(f"{path}?q={quote(number)}")
        links = [part.partition('"')[0] for part in page.split(f'href="{path}')[1:]]
        found = [link for link in links if "/change/" in link]
        if not found:
            raise DemoError(f"The admin does not find {number} at {path}")
        return self.clerk.open(path + found[0])

    def return_a_mug(self) -> None:
        number = self.returned_later
        step(4, f"A customer returns one mug of {number}.")
        before = self.button.orders()[number]["total"]
        self.open_shop_order(number)
        self.clerk.submit(**{"lines-1-returned": 1})
        wait_for(
            "Button to know the lower total",
            lambda: self.button.orders()[number]["total"] == before - 1500,
        )
        say(f"   Button's total went from {before} to {before - 1500} cents.")

    def cancel_an_order(self) -> None:
        number = self.cancelled_later
        step(5, f"Another cancels {number}.")
        self.open_shop_order(number)
        self.clerk.submit(status="cancelled")
        wait_for(
            "the cancellation to arrive",
            lambda: self.button.orders()[number]["status"] == "deleted",
        )
        say("   Button has deleted it.")

    def backfill(self) -> None:
        step(
            6,
            f"{OLD_ORDERS} older orders that the app has not recorded are backfilled.",
        )
        self.processes.manage("make_old_orders", str(OLD_ORDERS))
        printed = self.processes.manage("button_orders_backfill", "--now", show=True)
        say(f"   {printed.strip()}")
        again = self.processes.manage("button_orders_backfill", "--dry-run")
        say(f"   Once more: {again.strip()}")

    def compare(self) -> None:
        step(7, "The shop, the database and Button, order by order:")
        wait_for(
            "everything to be reported",
            lambda: all(
                order["report"] in ("reported", "cancelled")
                for order in self.reports().values()
            ),
        )
        shop, held = self.reports(), self.button.orders()
        kinds: Counter[tuple[str, str, str]] = Counter()
        wrong = sorted(shop.keys() ^ held.keys())
        for number in shop.keys() & held.keys():
            kinds[
                shop[number]["status"], shop[number]["report"], held[number]["status"]
            ] += 1
            if not agree(shop[number], held[number]):
                wrong.append(number)
        say(f"   {'shop':12}{'database':12}{'Button':12}{'orders':>6}")
        for kind, count in sorted(kinds.items()):
            say(f"   {kind[0]:12}{kind[1]:12}{kind[2]:12}{count:>6}")
        if wrong:
            raise DemoError(f"They do not agree on: {', '.join(wrong)}")
        say(f"   They agree on all {len(shop)} orders.")


def agree(sold: dict[str, Any], held: dict[str, Any]) -> bool:
    if sold["status"] == "cancelled":
        return sold["report"] == "cancelled" and bool(held["status"] == "deleted")
    return bool(
        sold["report"] == "reported"
        and held["status"] == "open"
        and held["total"] == sold["total"]
        and len(held["line_items"]) == sold["lines"]
    )


def serve(day: Day) -> None:
    day.sell()
    token = f"fakesrctok-{secrets.token_hex(8)}"
    say(f"\nShop:    {day.processes.shop_url}/?btn_ref={token}")
    say(f"Admin:   {day.processes.shop_url}/admin/ (clerk, {PASSWORD})")
    say(f"Sandbox: {day.processes.sandbox_url}/sandbox")
    say("Ctrl-C ends it all.")
    while all(process.poll() is None for process in day.processes.running.values()):
        time.sleep(1)
    raise DemoError("One of the processes ended unexpectedly.")


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--serve"]):
        say(f"{__doc__}")
        return 2
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="button-orders-") as folder:
        processes = Processes(Path(folder))
        day = Day(processes)
        try:
            day.open_shop()
            if arguments:
                serve(day)
            day.play()
        except (DemoError, LookupError, requests.RequestException) as exc:
            say(f"\nThe demo failed. {exc}")
            if processes.running:
                say(processes.tails())
            return 1
        except KeyboardInterrupt:
            say("\nEnding.")
            return 0 if arguments else 130
        finally:
            processes.stop_all()
    say(f"\nAll of it is true. It took {time.monotonic() - start:.0f} seconds.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
