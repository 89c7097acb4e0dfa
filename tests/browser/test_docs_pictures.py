"""The pictures of the panel in the documentation: copy them from ARTIFACTS to docs/images."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.panel_pages import ARTIFACTS
from tests.browser.panel_seed import write_busy_day

pytestmark = pytest.mark.slow

FILES = {"light": "panel.png", "dark": "panel-dark.png"}


@pytest.mark.parametrize("scheme", FILES)
def test_the_panel_of_a_busy_day(scheme, visit, server):
    write_busy_day(server)
    panel = visit(color_scheme=scheme, viewport={"width": 1280, "height": 1160}).open("?sample=1")
    expect(panel.badge).to_contain_text("OK")
    expect(panel.page.get_by_text("Billed commands").first).to_be_visible()
    ARTIFACTS.mkdir(exist_ok=True)
    panel.page.screenshot(path=ARTIFACTS / FILES[scheme])
    assert panel.visitor.errors == []
