"""The documentation's Python is run, and its tables are compared with the code."""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import BaseCache
from django.http import HttpResponse
from django.test import RequestFactory, override_settings

from continuum_upstash import UpstashCache, errors
from continuum_upstash.cache.extras import ExtraMethods
from continuum_upstash.client.pipeline import Pipeline
from continuum_upstash.config import Config, django_redis, resolve
from continuum_upstash.config.resolve import _OPTIONS
from continuum_upstash.emulator.process import Emulator
from continuum_upstash.plans.locks import Lock
from continuum_upstash.transports import registry
from continuum_upstash.transports.service_errors import MEANINGS, SERVICE_TEXTS, Meaning

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [
    *(ROOT / f"{page}.md" for page in ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY")),
    *DOCS,
]
REFERENCE = ROOT / "docs" / "reference"
NO_DEFAULT = "\N{EN DASH}"


def get_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def find_snippets(page: Path) -> list[str]:
    """Return the Python of a page. The first line of each snippet names its file."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def is_settings(snippet: str) -> bool:
    return snippet.startswith("# settings.py")


# INSTALLED_APPS before a page adds to it.
OTHER_APPS = [app for app in settings.INSTALLED_APPS if not app.startswith("continuum_upstash")]
# test_tutorial.py runs the tutorial, as a project.
WITH_SNIPPETS = [page for page in PAGES if find_snippets(page) and page.stem != "tutorial"]


@pytest.fixture
def credentials(upstash_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    upstash_emulator.reset()
    for prefix in ("", "SESSIONS_", "FEDERATION_"):
        monkeypatch.setenv(f"{prefix}UPSTASH_REDIS_REST_URL", upstash_emulator.rest_url)
        monkeypatch.setenv(f"{prefix}UPSTASH_REDIS_REST_TOKEN", upstash_emulator.token)
    monkeypatch.setenv("CLASSIC_REDIS_URL", upstash_emulator.redis_url)
    yield
    registry.reset()


# Pages for a site that has not installed the package; elsewhere the site has it already.
INSTALLING = {"README.md", "docs/index.md", "docs/reference/guide.md"}
# Pages that show CACHES as a whole; the others add to it.
WITH_CACHES = {
    *INSTALLING,
    "docs/how-to/getting-started.md",
    "docs/how-to/from-django-redis.md",
    "docs/reference/settings.md",
}
CACHE = {"BACKEND": "continuum_upstash.backend.CacheBackend"}


def make_settings(page: Path, apps: list[str]) -> dict[str, Any]:
    """Return the settings of a site before a page adds to them."""
    names: dict[str, Any] = {"INSTALLED_APPS": apps.copy()}
    names["MIDDLEWARE"] = settings.MIDDLEWARE.copy()
    if get_name(page) not in WITH_CACHES:
        names["CACHES"] = {"default": CACHE.copy(), "other": CACHE.copy()}
        names |= {"CONTINUUM_RATELIMIT": {"POLICIES": {}}, "CONTINUUM_STATS": {}}
    return names


@pytest.mark.parametrize("page", WITH_SNIPPETS, ids=get_name)
def test_the_python_of_a_page_runs(page, credentials, monkeypatch):
    if "from django.tasks import" in page.read_text() and find_spec("django.tasks") is None:
        framework = import_module("continuum_upstash.federation.tasks.framework")
        monkeypatch.setitem(sys.modules, "django.tasks", framework)  # Django 5.2
    names = make_settings(page, OTHER_APPS)
    modules: dict[str, Any] = {"__name__": "snippet", "urlpatterns": [], "CACHES": {}}
    for snippet in filter(is_settings, find_snippets(page)):
        exec(compile(snippet, f"{page} settings", "exec"), names)
    with override_settings(**{key: value for key, value in names.items() if key.isupper()}):
        for snippet in find_snippets(page):
            assert snippet.startswith("# "), "a snippet begins with the name of its file"
            if not is_settings(snippet):
                exec(compile(snippet, str(page), "exec"), modules)
        responses = asyncio.run(call_views(modules))
    assert all(response.status_code == 200 for response in responses)


ONCE = {*INSTALLING, "docs/tutorial.md"}  # the others can be pasted again
SESSIONS = "sessions.middleware.SessionMiddleware"


@pytest.mark.parametrize("page", WITH_SNIPPETS, ids=get_name)
def test_the_settings_of_a_page_keep_those_of_the_site(page, monkeypatch):
    monkeypatch.setenv("CLASSIC_REDIS_URL", "redis://127.0.0.1")
    installed = [] if get_name(page) in INSTALLING else ["continuum_upstash"]
    apps, middleware = [*OTHER_APPS, *installed], settings.MIDDLEWARE.copy()
    names = make_settings(page, apps)
    if "CACHES" in names:
        names["CACHES"]["default"]["OPTIONS"] = {"TELEMETRY": False}
    snippets = [*filter(is_settings, find_snippets(page))]
    for snippet in snippets if get_name(page) in ONCE else [*snippets, *snippets]:
        exec(compile(snippet, f"{page} settings", "exec"), names)
    assert names["INSTALLED_APPS"][: len(apps)] == apps
    for setting in ("INSTALLED_APPS", "MIDDLEWARE"):
        assert len(set(names[setting])) == len(names[setting]), f"{setting} has duplicates"
    own = f"continuum_upstash.{SESSIONS}"  # replaces Django's, at its position
    remaining = [name.replace(own, f"django.contrib.{SESSIONS}") for name in names["MIDDLEWARE"]]
    assert [name for name in remaining if name in middleware] == middleware
    if get_name(page) not in WITH_CACHES:
        assert names["CACHES"]["other"] == CACHE
    if get_name(page) not in {*WITH_CACHES, "docs/how-to/migrate.md"}:  # it moves the cache
        assert names["CACHES"]["default"]["OPTIONS"]["TELEMETRY"] is False


def find_entries(names: dict[str, Any], path: str = "") -> set[str]:
    """Return the paths of all entries of the settings that are dicts."""
    found = set()
    for name, value in names.items():
        if isinstance(value, dict) and (path or name.isupper()):
            found |= {f"{path}{name}", *find_entries(value, f"{path}{name}.")}
        elif path:
            found.add(f"{path}{name}")
    return found


def test_the_settings_of_all_how_tos_fit_into_one_site():
    contents = (ROOT / "docs/index.md").read_text()  # the order is that of the sidebar
    pages = [
        ROOT / "docs" / f"{name}.md"
        for name in re.findall(r"^(how-to/.+)$", contents, re.MULTILINE)
    ]
    names = make_settings(ROOT / "docs/how-to/panel.md", ["continuum_upstash"])
    for page in pages:
        if get_name(page) in {*WITH_CACHES, "docs/how-to/migrate.md"}:  # these define "default"
            continue
        before = find_entries(names)
        for snippet in filter(is_settings, find_snippets(page)):
            exec(compile(snippet, f"{page} settings", "exec"), names)
        assert before - find_entries(names) == set(), f"{page} removes settings of another page"


async def call_views(modules: dict[str, Any]) -> list[HttpResponse]:
    """Call the async views that a page defines."""
    views = [
        view
        for view in modules.values()
        if inspect.iscoroutinefunction(view) and "request" in inspect.signature(view).parameters
    ]
    return [await view(RequestFactory().get("/")) for view in views]


def test_the_readme_shows_a_view_and_a_client():
    readme = "".join(find_snippets(ROOT / "README.md"))
    assert "async def report(request)" in readme
    assert "UpstashCache()" in readme


@pytest.mark.parametrize("page", PAGES, ids=get_name)
def test_the_links_of_a_page_point_to_files(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_each_page_is_in_the_table_of_contents():
    contents = re.findall(r"```{toctree}.*?```", (ROOT / "docs/index.md").read_text(), re.DOTALL)
    entries = [line for block in contents for line in block.splitlines()]
    pages = {get_name(page).removeprefix("docs/").removesuffix(".md") for page in DOCS}
    listed = {page for page in pages for entry in entries if fnmatch(page, entry)}
    assert pages - listed == {"index"}


# ---- the reference


def read_table_rows(page: str, column: str = "") -> list[list[str]]:
    """Return the cells of all tables of a reference page, or of the one with this first column."""
    blocks = (REFERENCE / page).read_text().split("\n\n")
    lines = "\n".join(each for each in blocks if each.startswith(f"| {column}")).splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows]


def test_each_option_is_documented_with_its_default():
    documented = {row[0].strip("`"): row[1].strip("`") for row in read_table_rows("settings.md")}
    del documented["Option"]
    defaults = {name.upper(): getattr(Config, name) for name in Config.NAMES}
    defaults["MODE"] = "auto"  # the mode of a Config is what auto has found
    assert documented.keys() == _OPTIONS
    for option, default in documented.items():
        expected = defaults.get(option)
        assert default == (NO_DEFAULT if expected in {None, (), ""} else str(expected)), option


def test_each_option_of_django_redis_is_documented():
    page = (REFERENCE / "settings.md").read_text()
    assert {option for option in django_redis.TCP_OPTIONS if f"`{option}`" not in page} == set()
    page = (REFERENCE.parent / "how-to" / "from-django-redis.md").read_text()
    assert {option for option in django_redis.OPTIONS if f"`{option}`" not in page} == set()


class RecordingEnvironment(dict[str, str]):
    """An empty environment that records which variables are read."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return default


def test_each_variable_that_is_read_is_documented_and_no_other():
    environ = RecordingEnvironment()
    resolve({}, environ)
    tables = " ".join(row[0] for row in read_table_rows("environment.md"))
    documented = set(re.findall(r"`(\w+)`", tables))
    credentials = {name for name in documented if name.endswith(("_URL", "_TOKEN"))}
    assert environ.names == documented | {f"{name}_FILE" for name in credentials}


def test_each_error_is_documented_with_its_bases():
    rows = read_table_rows("errors.md", "Error")
    documented = {row[0].strip("`"): row[1].replace("`", "") for row in rows[1:]}
    raised = {
        error.__name__: ", ".join(base.__name__ for base in error.__bases__)
        for error in vars(errors).values()
        if inspect.isclass(error) and issubclass(error, errors.ContinuumError)
    }
    assert documented == raised


def test_each_error_text_is_documented_with_its_class_and_meaning():
    documented = [[cell.strip("`") for cell in row] for row in read_table_rows("errors.md", "Text")]
    assert documented[1:] == [
        [example, row.error.__name__, MEANINGS[row.error].name.lower().replace("_", "-")]
        for row in SERVICE_TEXTS
        for example in row.examples
    ]
    meanings = [row[0] for row in read_table_rows("errors.md", "Meaning")[1:]]
    assert meanings == [meaning.name.lower().replace("_", "-") for meaning in Meaning]


@pytest.mark.parametrize(
    "kind", [ExtraMethods, UpstashCache, Pipeline, Lock], ids=lambda kind: kind.__name__
)
def test_each_method_beyond_django_s_is_documented(kind):
    page = (REFERENCE / "api.md").read_text()
    inherited = set(dir(BaseCache)) | {f"a{name}" for name in dir(kind)}
    methods = {name for name in dir(kind) if not name.startswith("_")} - inherited
    assert {name for name in methods if not re.search(rf"`{name}\b", page)} == set()
