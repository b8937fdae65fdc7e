"""The pages fit wide and narrow windows, and are readable in light and dark ones."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser


def test_looks(open_desk, site, tmp_path_factory):
    import os
    from django.conf import settings
    from tests.browser.test_looks import show_all
    out = os.environ["PICTURES"]
    theme = os.environ["DJANGO_SETTINGS_MODULE"].rpartition(".")[2]
    desk = open_desk(site)
    rows = [desk.sell_refused(f"A-{n}") for n in range(3)]
    row = desk.sell_reported("B-1")
    for width in (1280, 400):
        for scheme in ("light", "dark"):
            d = open_desk(site, color_scheme=scheme, viewport={"width": width, "height": 900})
            if theme == "unfold":
                d.page.add_init_script(f"localStorage.setItem('_x_adminTheme', '\"{scheme}\"')")
            for name, go in {
                "list": lambda: d.open_list(),
                "order": lambda: d.open_order(rows[0]),
                "host": lambda: d.open_host_order(rows[0]),
                "check": lambda: d.page.goto(d.url("buttonorder", "check_adapter")),
            }.items():
                if (width, scheme) in ((1280,"dark"),(400,"light")) and name == "check": continue
                d.page.set_viewport_size({"width": width, "height": 900})
                go()
                if name == "host":
                    d.page.locator("summary", has_text="Dismiss").click()
                show_all(d.page)
                d.page.screenshot(path=f"{out}/{theme}-{site}-{name}-{width}-{scheme}.png", full_page=True)
