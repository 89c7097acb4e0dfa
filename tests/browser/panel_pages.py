"""The panel as its visitor sees it."""

from __future__ import annotations

import os
from pathlib import Path

PAGE = "admin/continuum_upstash_panel/cachehealth/"
AXE = Path(__file__).parent / "npm" / "node_modules" / "axe-core" / "axe.min.js"
ARTIFACTS = Path(os.environ.get("ARTIFACTS") or Path(__file__).parents[2] / ".artifacts")


class Visitor:
    """A browser of somebody's, which takes down what its pages complain of."""

    def __init__(self, context):
        self._context = context
        self.complaints = []
        context.add_init_script(
            "document.addEventListener('securitypolicyviolation', event => "
            "console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`))"
        )
        self.page = context.new_page()
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message):
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def log_in(self, name):
        self.page.goto(f"admin/login/?next=/{PAGE}")
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Password").fill(name)
        self.page.get_by_role("button", name="Log in").click()

    def forget(self):
        """Lose all cookies."""
        self._context.clear_cookies()

    def leave(self):
        self._context.close()


class Panel:
    def __init__(self, visitor):
        self.visitor = visitor
        self.page = visitor.page

    def with_clock(self):
        """Let the page's time be ours: see `later`."""
        self.page.clock.install()
        return self

    def later(self, seconds):
        self.page.clock.run_for(seconds * 1000)

    def open(self, query=""):
        self.page.goto(f"{PAGE}default/change/{query}")
        return self

    def open_list(self):
        self.page.goto(PAGE)

    def unfold(self):
        for summary in self.page.locator("summary").all():
            summary.click()

    def press(self, button):
        self.page.get_by_role("link", name=button, exact=True).click()
        return self

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

    def screenshot(self, name):
        ARTIFACTS.mkdir(exist_ok=True)
        self.page.screenshot(path=ARTIFACTS / f"panel-{name}.png", full_page=True)

    def overflow(self):
        """Return by how many pixels the page is wider than the window."""
        return self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    def violations(self):
        """Return what axe-core finds that is serious or worse, or that two parts have one name.

        Django's breadcrumbs are left out.
        """
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run({exclude: [['.breadcrumbs']]})")
        return [
            f"{each['id']}: {node['html']} {node['failureSummary']}"
            for each in found["violations"]
            if each["impact"] in {"serious", "critical"} or each["id"] == "landmark-unique"
            for node in each["nodes"]
        ]
