"""The panel in a browser."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlencode

import pytest

PAGE = "admin/continuum_upstash_panel/cachehealth/"
KEYS = "admin/continuum_upstash_panel/cachekey/default/"
AXE = Path(__file__).parent / "npm" / "node_modules" / "axe-core" / "axe.min.js"
PHONE = {"width": 390, "height": 844}
needs_axe = pytest.mark.skipif(
    not AXE.exists(), reason="axe-core is not installed: npm ci --prefix tests/browser/npm"
)
ARTIFACTS = Path(os.environ.get("ARTIFACTS") or Path(__file__).parents[2] / ".artifacts")


def find_violations(page):
    """Return the findings of axe-core."""
    page.evaluate(AXE.read_text())
    results = page.evaluate("axe.run()")
    return [
        f"{each['id']}: {node['html']} {node['failureSummary']}"
        for each in results["violations"]
        for node in each["nodes"]
    ]


class Visitor:
    """A browser context that collects the errors of its pages."""

    def __init__(self, context):
        self._context = context
        self.errors = []
        context.add_init_script(
            "document.addEventListener('securitypolicyviolation', event => "
            "console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`))"
        )
        self.page = context.new_page()
        self.page.on("console", self._collect_errors)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _collect_errors(self, message):
        if message.type in {"error", "warning"}:
            self.errors.append(message.text)

    def log_in(self, name):
        self.page.goto("admin/login/?next=/admin/")
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Password").fill(name)
        self.page.get_by_role("button", name="Log in").click()

    def clear_cookies(self):
        self._context.clear_cookies()

    def close(self):
        self._context.close()


class Panel:
    def __init__(self, visitor):
        self.visitor = visitor
        self.page = visitor.page

    def with_clock(self):
        """Control the page's clock: see `advance`."""
        self.page.clock.install()
        return self

    def advance(self, seconds):
        self.page.clock.run_for(seconds * 1000)

    def open(self, query=""):
        self.page.goto(f"{PAGE}default/change/{query}")
        return self

    def open_list(self):
        self.page.goto(PAGE)

    def open_keys(self, **query):
        self.page.goto(f"{KEYS}change/?{urlencode(query)}")
        return self

    def open_key(self, key):
        self.page.goto(f"{KEYS}key/?{urlencode({'key': key})}")
        return self

    def open_details(self):
        for summary in self.page.locator("summary").all():
            summary.click()

    def press(self, button):
        self.page.get_by_role("link", name=button, exact=True).click()
        return self

    def act(self, button):
        """Press the button of an action; harmful ones, links, are confirmed."""
        if button.endswith("…"):
            self.press(button).confirm()
        else:
            self.page.get_by_role("button", name=button, exact=True).click()

    def confirm(self):
        self.page.locator("#content form input[type=submit]").click()

    @property
    def state(self):
        return self.page.locator("section", has=self.page.get_by_role("heading", name="State"))

    @property
    def message(self):
        return self.page.locator(".messagelist")

    @property
    def badge(self):
        return self.page.locator(".ch-badge")

    def save_screenshot(self, name):
        ARTIFACTS.mkdir(exist_ok=True)
        self.page.screenshot(path=ARTIFACTS / f"panel-{name}.png", full_page=True)

    def measure_overflow(self):
        """Return how many pixels the page is wider than the window."""
        return self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    def find_violations(self):
        self.page.wait_for_load_state()
        return find_violations(self.page)
