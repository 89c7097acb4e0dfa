"""The pages of `make demo`, walked through as a visitor does."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.project.demo_process import Demo, demo


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture
def browser(site: Demo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, follow_redirects=True, timeout=30) as client:
        yield client


def press(browser: httpx.Client, page: str, action: str, **fields: str) -> httpx.Response:
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get(page).text)[1]
    answer = browser.post(action, data={"csrfmiddlewaretoken": token, **fields})
    assert answer.status_code == 200
    return answer


def outcome(page: httpx.Response) -> str:
    return re.search(r'class="outcome (\w+)"', page.text)[1]


def total(page: httpx.Response) -> int:
    return int(re.search(r"<output.*?>([\d,]+)<", page.text)[1].replace(",", ""))


def test_each_page_of_the_navigation_answers_and_names_who_served_it(browser):
    links = re.findall(r'<li><a href="(/[^"]*)"', browser.get("").text)
    assert len(links) >= 7
    for link in links:
        page = browser.get(link)
        assert page.status_code == 200, link
        if "/admin/" not in link:
            assert 'badge-upstash-rest"' in page.text, link
            assert "<!--" not in page.text, link


def test_a_query_misses_then_hits_and_misses_again_when_forgotten(browser):
    outcomes = [outcome(browser.get("articles/", params={"topic": "networks"})) for _ in range(2)]
    outcomes.append(outcome(press(browser, "articles/", "articles/forget/", topic="networks")))
    assert outcomes == ["miss", "hit", "miss"]


def test_the_counter_counts_each_click_and_a_hundred_at_once(browser):
    before = total(browser.get("counter/"))
    press(browser, "counter/", "counter/add/")
    after = total(press(browser, "counter/", "counter/add-hundred/"))
    assert after == before + 101
    assert browser.get("counter/value/").json() == {"total": after}


def test_a_cached_page_stays_as_it_was_rendered_but_tells_the_new_outcome(browser):
    pages = [browser.get("month/", params={"fresh": "1"}) for _ in range(2)]
    rendered = {re.search(r'<time datetime="([^"]+)"', page.text)[1] for page in pages}
    assert [outcome(page) for page in pages] == ["miss", "hit"]
    assert len(rendered) == 1


def test_a_hundred_async_reads_travel_in_one_request(browser):
    page = browser.get("dashboard/", params={"compare": "1"}).text
    requests = re.findall(r'data-label="HTTP requests">(\S+?)<', page)
    billed = re.findall(r'data-label="Commands billed">(\S+?)<', page)
    assert requests == ["1", "1", "100"]
    assert billed == ["1", "100", "100"]


def test_the_backend_page_says_where_credentials_are_from_and_hides_them(browser):
    page = browser.get("backend/").text
    assert "UPSTASH_REDIS_REST_TOKEN" in page
    assert "********" in page
    assert "noeviction" in page


def log_in(site, browser, then):
    return press(
        browser,
        f"admin/login/?next={then}",
        f"admin/login/?next={then}",
        username="admin",
        password=site.password,
    )


def test_only_staff_may_break_the_database(site, browser):
    assert "Only staff may break the database" in browser.get("outage/").text
    token = re.search(r'value="(\w+)"', browser.get("counter/").text)[1]
    answer = browser.post("outage/start/", data={"csrfmiddlewaretoken": token, "kind": "refuse"})
    assert answer.status_code == 403
    assert total(browser.get("counter/")) >= 0


def test_pages_go_on_in_an_outage_and_the_panel_says_what_is_wrong(site, browser):
    assert "Nobody there" in log_in(site, browser, "/outage/").text
    press(browser, "outage/", "outage/start/", kind="refuse")
    until_served_by("local", browser, "outage/")  # to look there is enough to meet it, and its end
    assert total(press(browser, "counter/", "counter/add/")) >= 1
    assert "is logged in on 1 device" in browser.get("devices/").text
    panel = browser.get("admin/continuum_upstash_panel/cachehealth/default/change/").text
    assert "Degraded" in panel
    assert "Probe now" in panel
    until_served_by("upstash-rest", browser, "outage/")


def test_a_long_pause_is_ended_by_hand_and_by_the_next_outage(site, browser):
    log_in(site, browser, "/outage/")
    page = press(browser, "outage/", "outage/start/", kind="quota").text
    assert "max requests limit" in page
    assert 'badge-local"' in page
    page = press(browser, "outage/", "outage/start/", kind="http").text
    assert "1 of 3" in page
    page = press(browser, "outage/", "outage/end/").text
    assert 'badge-upstash-rest"' in page
    assert "0 of 3" in page
    assert "outage/end/" not in page, "there is nothing to end"


def test_the_foot_of_a_page_tells_what_was_answered_in_the_process(site, browser):
    log_in(site, browser, "/outage/")
    press(browser, "outage/", "outage/start/", kind="quota")
    assert "<b>1</b> command, answered in the process" in browser.get("counter/").text
    press(browser, "outage/", "outage/end/")


def test_an_outage_of_everything_is_told_apart_from_a_logout(site, browser):
    log_in(site, browser, "/outage/")
    press(browser, "outage/", "outage/start/", kind="everything")
    until_served_by("local", browser, "counter/")
    assert "Sessions are out of reach" in browser.get("outage/").text
    away = browser.get("devices/", headers={"Accept": "text/html"})
    assert away.status_code == 503
    assert "Back in a moment" in away.text
    assert '<a href="/articles/">' in away.text, "with the navigation"
    until_served_by("upstash-rest", browser, "articles/")
    assert "Nobody there" in browser.get("outage/").text, "still logged in"


def until_served_by(backend, browser, page):
    deadline = time.monotonic() + 60
    while f'badge-{backend}"' not in browser.get(page).text:
        assert time.monotonic() < deadline


def test_the_admin_opens_with_the_printed_password(site, browser):
    assert "Site administration" in log_in(site, browser, "/admin/").text
