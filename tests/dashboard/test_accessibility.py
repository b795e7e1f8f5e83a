"""The operator's page for everybody: by axe, and without a mouse."""

from __future__ import annotations

import contextlib

import pytest

from tests.dashboard.application import NOWHERE
from tests.dashboard.conftest import ended, fresh, submitted
from tests.dashboard.tabs import Tab, row
from tests.typescript.workspace import ROOT, require_packages

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]
VIEWS = ("", "operations", "workers", "webhooks", "run")
ALL = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]
COLOURS = ["color-contrast", "link-in-text-block"]  # all that a dark page may have wrong and its light twin right


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_axe_finds_no_violation(browser, server, look):
    """Each view, with operations of several statuses, and the question of a dialog."""
    require_packages()
    axe = (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    running = submitted(server, "/drawings", json={"signal": fresh()})
    failed = submitted(server, "/drawings", json={"fails": True}, hook=NOWHERE)
    ended(server, failed)
    wide = submitted(server, "/refusals", params={"detail": "column," * 60})
    ended(server, wide)
    size = {"width": 390, "height": 800} if look == "phone" else {"width": 1280, "height": 860}
    tab = Tab(browser, server, color_scheme="dark" if look == "dark" else "light", viewport=size, bypass_csp=True)

    def violations():
        tab.page.add_script_tag(content=axe)
        found = tab.page.evaluate("rules => axe.run({ runOnly: rules })", COLOURS if look == "dark" else ALL)
        assert len(found["passes"]) > (0 if look == "dark" else 10)
        return [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]]

    with contextlib.closing(tab):
        for view in (*VIEWS, f"operations/{running}", f"operations/{failed}", f"operations/{wide}"):
            page = tab.go(view)
            page.wait_for_load_state()
            page.locator("main .card").first.wait_for()
            if wide in view:
                page.get_by_text("column,column,").first.wait_for()
            assert violations() == [], view
            overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert overflow <= 0, f"{view} is wider than the screen"
        page = tab.go(f"operations/{running}")
        page.get_by_role("button", name="Cancel…").click()
        assert violations() == []
        page.get_by_role("button", name="Cancel it").click()
        page.locator("h1", has_text="cancelled").wait_for()


def test_it_works_without_a_mouse(server, tab):
    """The first stop skips the header; links and rows are reached and followed by Tab and Enter."""
    operation_id = submitted(server, "/refusals")
    ended(server, operation_id)
    page = tab.go("operations")
    row(page, operation_id).wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText").strip() == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "view"
    for _ in range(60):
        page.keyboard.press("Tab")
        if operation_id in (page.evaluate("document.activeElement.href ?? ''")):
            break
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="refuse").wait_for()
    assert page.evaluate("document.activeElement.id") == "view"
