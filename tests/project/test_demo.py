"""The pages of `make demo`, requested as a visitor does."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.project.demo_process import Demo, start_demo
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with start_demo(
        tmp_path_factory.mktemp("demo"), DEMO_OUTAGE_SECONDS="8", DEMO_REPORT_SECONDS="1"
    ) as running:
        yield running


@pytest.fixture
def browser(site: Demo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, follow_redirects=True, timeout=30) as client:
        yield client


def submit(browser: httpx.Client, page: str, action: str, **fields: str) -> httpx.Response:
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get(page).text)[1]
    response = browser.post(action, data={"csrfmiddlewaretoken": token, **fields})
    assert response.status_code == 200
    return response


def read_outcome(page: httpx.Response) -> str:
    return re.search(r'class="outcome (\w+)"', page.text)[1]


def read_total(page: httpx.Response) -> int:
    return int(re.search(r"<output.*?>([\d,]+)<", page.text)[1].replace(",", ""))


def test_each_page_of_the_navigation_shows_the_active_backend(browser):
    links = re.findall(r'<li><a href="(/[^"]*)"', browser.get("").text)
    assert len(links) >= 7
    for link in links:
        page = browser.get(link)
        assert page.status_code == 200, link
        if "/admin/" not in link:
            assert 'badge-upstash-rest"' in page.text, link
            assert "<!--" not in page.text, link


def test_a_query_misses_then_hits_and_misses_again_after_a_delete(browser):
    outcomes = [
        read_outcome(browser.get("articles/", params={"topic": "networks"})) for _ in range(2)
    ]
    outcomes.append(
        read_outcome(submit(browser, "articles/", "articles/delete-cached/", topic="networks"))
    )
    assert outcomes == ["miss", "hit", "miss"]


def test_the_counter_counts_each_click_and_a_hundred_concurrent_calls(browser):
    before = read_total(browser.get("counter/"))
    submit(browser, "counter/", "counter/add/")
    after = read_total(submit(browser, "counter/", "counter/add-hundred/"))
    assert after == before + 101
    assert browser.get("counter/value/").json() == {"total": after}


def test_a_cached_page_does_not_change_but_shows_the_new_outcome(browser):
    pages = [browser.get("cached-page/", params={"fresh": "1"}) for _ in range(2)]
    rendered = {re.search(r'<time datetime="([^"]+)"', page.text)[1] for page in pages}
    assert [read_outcome(page) for page in pages] == ["miss", "hit"]
    assert len(rendered) == 1


def test_a_hundred_async_reads_are_sent_in_one_request(browser):
    page = browser.get("dashboard/", params={"compare": "1"}).text
    requests = re.findall(r'data-label="HTTP requests">(\S+?)<', page)
    billed = re.findall(r'data-label="Billed commands">(\S+?)<', page)
    assert requests == ["1", "1", "100"]
    assert billed == ["1", "100", "100"]


def test_the_backend_page_shows_the_source_of_credentials_and_masks_them(browser):
    page = browser.get("backend/").text
    assert "UPSTASH_REDIS_REST_TOKEN" in page
    assert "********" in page
    assert "noeviction" in page


def log_in(site, browser, then):
    return submit(
        browser,
        f"admin/login/?next={then}",
        f"admin/login/?next={then}",
        username="admin",
        password=site.password,
    )


def test_a_cached_query_runs_again_after_a_change_in_the_admin(site, browser):
    outcomes = [read_outcome(browser.get("articles/")) for _ in range(2)]
    form = "admin/example_project/author/add/"
    log_in(site, browser, f"/{form}")
    submit(browser, form, form, name="Nora Quist")
    outcomes.append(read_outcome(browser.get("articles/")))
    assert outcomes[1:] == ["hit", "miss"]


def test_only_staff_users_may_break_the_database(site, browser):
    assert "Only staff users may break the database" in browser.get("outage/").text
    token = re.search(r'value="(\w+)"', browser.get("counter/").text)[1]
    response = browser.post("outage/start/", data={"csrfmiddlewaretoken": token, "kind": "refuse"})
    assert response.status_code == 403
    assert read_total(browser.get("counter/")) >= 0


def test_pages_work_during_an_outage_and_the_panel_shows_the_cause(site, browser):
    assert "Connection refused" in log_in(site, browser, "/outage/").text
    submit(browser, "outage/", "outage/start/", kind="refuse")
    wait_for_backend("local", browser, "outage/")  # its own call detects the outage, and its end
    assert read_total(submit(browser, "counter/", "counter/add/")) >= 1
    assert "admin is logged in on " in browser.get("devices/").text
    panel = browser.get("admin/continuum_upstash_panel/cachehealth/default/change/").text
    assert "Degraded" in panel
    assert "Probe now" in panel
    assert 'badge-upstash-rest"' in submit(browser, "outage/", "outage/end/").text


def test_a_long_open_breaker_is_reset_manually_and_by_the_next_outage(site, browser):
    log_in(site, browser, "/outage/")
    page = submit(browser, "outage/", "outage/start/", kind="quota").text
    assert "max requests limit" in page
    assert 'badge-local"' in page
    page = submit(browser, "outage/", "outage/start/", kind="http").text
    assert "1 of 3" in page
    page = submit(browser, "outage/", "outage/end/").text
    assert 'badge-upstash-rest"' in page
    assert "0 of 3" in page
    assert "outage/end/" not in page, "there is no outage to end"


def test_the_footer_of_a_page_counts_local_commands(site, browser):
    log_in(site, browser, "/outage/")
    submit(browser, "outage/", "outage/start/", kind="quota")
    assert "<b>1</b> command, executed in the process" in browser.get("counter/").text
    submit(browser, "outage/", "outage/end/")


def test_an_outage_of_sessions_is_not_shown_as_a_logout(site, browser):
    log_in(site, browser, "/outage/")
    submit(browser, "outage/", "outage/start/", kind="everything")
    wait_for_backend("local", browser, "counter/")
    assert "Sessions are unavailable" in browser.get("outage/").text
    response = browser.get("devices/", headers={"Accept": "text/html"})
    assert response.status_code == 503
    assert "Back in a moment" in response.text
    assert '<a href="/articles/">' in response.text, "the page has the navigation"
    wait_for_backend("upstash-rest", browser, "articles/")
    assert "Connection refused" in browser.get("outage/").text, "still logged in"


def wait_for_backend(backend, browser, page):
    wait_until(lambda: f'badge-{backend}"' in browser.get(page).text, seconds=60)


def test_a_login_in_the_admin_is_a_named_device(site, browser):
    browser.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0"
    log_in(site, browser, "/admin/")
    page = browser.get("devices/").text
    assert "Firefox on Linux" in page
    assert "just now" in page


def test_the_favicon_of_every_page_exists(browser):
    assert browser.get("favicon.ico").headers["Content-Type"] == "image/svg+xml"


def test_the_admin_opens_with_the_printed_password(site, browser):
    assert "Site administration" in log_in(site, browser, "/admin/").text


def test_the_key_browser_has_keys_of_each_type(site, browser):
    page = log_in(
        site, browser, "/admin/continuum_upstash_panel/cachekey/default/change/?details=1"
    )
    for kind in ("string", "hash", "list", "set", "zset"):
        assert f"ck-type-{kind}" in page.text
    assert "browser:dict" in page.text


def test_the_costs_are_those_of_the_account_and_a_loop_is_found(browser):
    def read_costs():
        return browser.get("costs/").text

    assert "By the account" in read_costs()
    submit(browser, "costs/", "costs/loop/")
    # The process writes its statistics after a response.
    wait_until(lambda: "By the statistics" in read_costs())
    page = submit(browser, "costs/", "costs/loop/").text
    ours, theirs = (
        int(each.replace(",", "")) for each in re.findall(r">([\d,]+) commands, \$0\.\d{4}<", page)
    )
    assert 400 <= ours <= theirs
    wait_until(lambda: "read_in_a_loop reads keys one after another" in read_costs())
    assert "(this site)" in page
    assert submit(browser, "costs/", "costs/get-many/").status_code == 200


def test_a_report_is_built_by_a_task_and_its_progress_is_shown(browser):
    page = submit(browser, "report/", "report/start/")
    assert 'data-finished="no"' in page.text
    assert '<noscript><meta http-equiv="refresh"' in page.text
    path = page.url.path
    seen = []
    wait_until(lambda: seen.append(browser.get(f"{path}state/").json()) or seen[-1]["is_finished"])
    percentages = [state["percent"] for state in seen]
    assert percentages == sorted(percentages)
    assert len(set(percentages)) > 3
    page = browser.get(path).text
    assert "Readers by topic" in page
    assert "refresh" not in page
    assert browser.get("report/unknown/").status_code == 404


def test_the_budget_changes_while_the_site_runs(browser):
    def read_stage():
        return re.search(r'data-stage="(\w+)"', browser.get("costs/").text)[1]

    assert read_stage() == "within"
    submit(browser, "costs/", "costs/commands/")
    submit(browser, "costs/", "costs/budget/", stage="local")
    wait_until(lambda: read_stage() == "local")
    assert "<dd>local</dd>" in submit(browser, "costs/", "costs/commands/").text
    submit(browser, "costs/", "costs/budget/", stage="raise")
    wait_until(lambda: read_stage() == "within")
