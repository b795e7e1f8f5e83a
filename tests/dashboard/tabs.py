"""Tabs of Chromium on the operator's page."""

from __future__ import annotations

import re

BASE = "/behind/api/dashboard"


class Tab:
    """One tab; it remembers what it asked for and what it complained of."""

    def __init__(self, browser, server, role="operator", *, port=None, **options):
        self.server = server
        url = f"http://127.0.0.1:{port or server.port}"
        self.context = browser.new_context(base_url=url, **options)
        self.context.add_cookies([{"name": "role", "value": role, "url": url}])
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.complaints, self.asked, self.open = [], [], set()
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._asks)
        for ending in ("requestfinished", "requestfailed"):
            self.page.on(ending, self._ended)

    def _asks(self, request):
        self.asked.append(request.url)
        if re.search(r"/events(\?|$)", request.url):
            self.open.add(request)

    def _ended(self, request):
        self.open.discard(request)

    def go(self, view=""):
        """Open a view and wait until it is there."""
        self.page.goto(f"{BASE}/{view}")
        self.page.wait_for_selector("h1")
        return self.page

    def close(self):
        """Close the tab."""
        self.context.close()


def row(page, operation_id):
    """Return the row of an operation in the list."""
    return page.locator("tbody tr", has=page.locator(f'a[href$="/operations/{operation_id}"]'))
