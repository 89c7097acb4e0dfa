"""The built documentation in a browser, from files: search, copy buttons, themes and phones."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.panel_pages import ARTIFACTS, PHONE, find_violations, needs_axe

ROOT = Path(__file__).parents[2]
WIDE = {"width": 1280, "height": 900}
IS_LONG = "TEST_LENGTH" in os.environ

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site():
    pytest.importorskip("furo", reason="the extra docs is not installed")
    folder = ROOT / "build" / "docs"  # that of `make docs`: pages that did not change remain
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    built = subprocess.run(
        [*command, ROOT / "docs", folder], check=False, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture
def open_page(chromium, site):
    """Return a function that opens a page without a network."""
    contexts = []

    def open_file(name, **emulation):
        contexts.append(chromium.new_context(offline=True, **emulation))
        contexts[-1].grant_permissions(["clipboard-read", "clipboard-write"])
        page = contexts[-1].new_page()
        page.goto(f"{site.as_uri()}/{name}")
        return page

    yield open_file
    for context in contexts:
        context.close()


def test_search_works_from_files(open_page):
    page = open_page("search.html?q=stampede")
    expect(page.locator("ul.search li").first).to_be_visible()
    assert "Stampedes and tags" in page.locator("ul.search").inner_text()


def test_code_can_be_copied(open_page):
    page = open_page("index.html")
    block = page.locator("div.highlight").first
    block.hover()
    block.get_by_role("button", name="Copy").click()
    expect(block.get_by_role("button")).to_have_text("Copied")
    text = page.evaluate("navigator.clipboard.readText()")
    assert text.startswith("# settings.py\nINSTALLED_APPS += [")
    assert "Copy" not in text


# Of the pages on a server. Furo has one inline script, many inline styles, and icons in its styles.
POLICY = (
    "default-src 'self'; script-src 'self' '{}'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:"
)


def make_policy(site):
    script = re.search(r"<script>(.*?)</script>", (site / "index.html").read_text(), re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return POLICY.format(f"sha256-{digest}")


def choose_pages(site, sample):
    """Return the pages to look at: all of them with TEST_LENGTH."""
    if not IS_LONG:
        return sample
    pages = (page.relative_to(site) for page in site.rglob("*.html"))
    return sorted(str(page.with_suffix("")) for page in pages if page.parts[0] != "_static")


@needs_axe
@pytest.mark.parametrize(
    ("scheme", "viewport", "sample"),
    [
        ("light", WIDE, ["index", "explanation/comparison", "search"]),
        ("dark", PHONE, ["index", "tutorial"]),
        *(
            pytest.param(*each, [], marks=pytest.mark.skipif(not IS_LONG, reason="TEST_LENGTH"))
            for each in (("light", PHONE), ("dark", WIDE))
        ),
    ],
    ids=["wide-light", "phone-dark", "phone-light", "wide-dark"],
)
def test_pages_are_accessible_and_keep_a_policy_in_every_theme_and_width(
    scheme, viewport, sample, chromium, site
):
    context = chromium.new_context(color_scheme=scheme, viewport=viewport)
    page, problems, policy = context.new_page(), [], make_policy(site)
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.route(
        "http://docs/**",
        lambda route: route.fulfill(
            path=site / urlsplit(route.request.url).path.removeprefix("/"),
            headers={"Content-Security-Policy": policy},
        ),
    )
    ARTIFACTS.mkdir(exist_ok=True)
    for name in choose_pages(site, sample):
        page.goto(f"http://docs/{name}.html")
        assert find_violations(page) == [], name
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"], name
        assert problems == [], name
        file = f"docs-{Path(name).name}-{viewport['width']}-{scheme}.png"
        page.screenshot(path=ARTIFACTS / file, full_page=True)
    context.close()


def test_the_markdown_of_each_page_is_published(site):
    listed = re.findall(
        r"^- \[.*?\]\((\S+\.md)\): \S", (site / "llms.txt").read_text(), re.MULTILINE
    )
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert set(listed) == pages - {"index.md"}
    for page in pages:
        assert (site / page).read_text() == (ROOT / "docs" / page).read_text()
        html = (site / page).with_suffix(".html").read_text()
        assert f'type="text/markdown" href="{Path(page).name}"' in html


def test_the_picture_of_the_panel_follows_the_theme(open_page):
    for scheme, file in {"light": "panel.png", "dark": "panel-dark.png"}.items():
        images = open_page("index.html", color_scheme=scheme).get_by_role(
            "img", name="health panel"
        )
        assert [image.get_attribute("src") for image in images.all() if image.is_visible()] == [
            f"_images/{file}"
        ]


def test_no_page_needs_another_server(site):
    resources = r"<(?:script|img|iframe)[^>]* src=\"https?://|<link[^>]* rel=\"stylesheet\"[^>]*//"
    loading = [page.name for page in site.rglob("*.html") if re.search(resources, page.read_text())]
    assert loading == []


def test_each_page_can_be_edited(site):
    html = (site / "how-to" / "sessions.html").read_text()
    assert "continuum-upstash/edit/main/docs/how-to/sessions.md" in html
