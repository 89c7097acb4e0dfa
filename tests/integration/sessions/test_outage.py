"""The session database is unavailable, full, misconfigured, or evicts keys."""

from __future__ import annotations

import pytest
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured

from continuum_upstash.emulator.process import running
from continuum_upstash.errors import DeadlineExceeded, SessionStoreUnavailable
from continuum_upstash.sessions import SessionStore
from continuum_upstash.sessions.session_runner import EvictionNotAllowed
from tests.integration.sessions.session_database import read_sessions

JSON = {"accept": "application/json"}


@pytest.fixture(scope="module")
def unusual_emulator():
    """An emulator that evicts, and that refuses GETEX when it is full."""
    with running("--eviction", "--refuse-getex-when-full") as emulator:
        yield emulator


@pytest.fixture
def configure_unusual(configure, unusual_emulator, remote):
    """Store the sessions in the unusual emulator."""
    location = unusual_emulator.rest_url if remote == "rest" else unusual_emulator.redis_url
    configure(remote, location, **({"TOKEN": unusual_emulator.token} if remote == "rest" else {}))


def test_a_page_that_needs_its_session_is_503_and_keeps_the_cookie(member, outage, recover):
    key = member.key
    with outage():
        response = member.get("whoami")
    assert response.status_code == 503
    assert int(response["Retry-After"]) >= 1
    assert "no-store" in response["Cache-Control"]
    assert not response.cookies
    assert b"not been logged out" in response.content
    assert member.key == key
    recover()
    assert member.get("whoami").content == b"ada"


@pytest.mark.parametrize("page", ["show", "whoami", "login", "logout"])
def test_no_page_sets_the_cookie(page, member, outage):
    with outage():
        for _ in range(5):  # before and after the circuit breaker opens
            response = member.get(page)
            assert (response.status_code, len(response.cookies)) == (503, 0)


def test_a_write_is_503_too(member, new_browser, outage):
    with outage():
        assert member.put(theme="dark").status_code == 503
        anonymous = new_browser()
        assert anonymous.put(theme="dark").status_code == 503
        assert anonymous.key is None


def test_pages_without_session_are_served(member, outage):
    key = member.key
    with outage():
        response = member.get("plain")
    assert (response.status_code, len(response.cookies)) == (200, 0)
    assert member.key == key


def test_json_clients_get_json(member, outage):
    with outage():
        response = member.get("show", **JSON)
    assert response.status_code == 503
    assert response.json()["error"] == "session_unavailable"
    assert response.json()["retry_after"] == int(response["Retry-After"])


def test_the_projects_template_replaces_the_built_in_one(member, outage, settings, tmp_path):
    (tmp_path / "session_unavailable.html").write_text("Wait {{ retry_after }} s")
    settings.TEMPLATES = [
        {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [tmp_path]}
    ]
    with outage():
        assert member.get("show").content.startswith(b"Wait ")


def test_a_missing_parent_of_the_projects_template_is_logged(
    member, outage, settings, tmp_path, caplog
):
    (tmp_path / "session_unavailable.html").write_text("{% extends 'missing.html' %}")
    settings.TEMPLATES = [
        {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [tmp_path]}
    ]
    with outage():
        assert member.get("show").status_code == 500
    assert "TemplateDoesNotExist: missing.html" in caplog.text


def test_an_error_in_another_middleware_is_503_and_not_500(outage, settings, member, new_browser):
    settings.MIDDLEWARE = [
        settings.MIDDLEWARE[0],
        "tests.integration.sessions.session_site.read_session_before_view",
    ]
    browser = new_browser()
    browser.cookies["sessionid"] = member.key
    with outage():
        assert browser.get("plain").status_code == 503


def test_the_log_names_the_cache_and_no_session_key(member, outage, caplog):
    with outage():
        member.get("show")
    (record,) = [record for record in caplog.records if record.name == "django.request"]
    assert record.levelname == "WARNING"
    assert "cache 'sessions' (" in record.getMessage()
    assert member.key not in caplog.text


@pytest.mark.parametrize(
    "operation",
    [
        lambda session: session.load(),
        lambda session: session.save(),
        lambda session: session.create(),
        lambda session: session.delete(),
        lambda session: session.exists("somesession"),
        lambda session: session.cycle_key(),
        lambda session: session.flush(),
    ],
)
def test_each_operation_raises_and_keeps_the_session_key(operation, open_session, outage):
    store = open_session("somesession")
    with outage(), pytest.raises(SessionStoreUnavailable, match="no user was logged out"):
        operation(store)
    assert store.key == "somesession"


def test_a_new_session_that_could_not_be_stored_has_no_key(open_session, outage):
    store = open_session()
    store.set("theme", "dark")
    with outage(), pytest.raises(SessionStoreUnavailable):
        store.save()
    assert store.key is None
    store.load()


def test_the_first_request_after_an_outage_succeeds(member, outage, recover):
    with outage():
        for _ in range(4):
            assert member.get("show").status_code == 503
    recover()
    assert member.get("whoami").content == b"ada"
    assert member.put(theme="dark").status_code == 200


def test_a_failed_login_keeps_the_visitors_session(new_browser, ada, site):
    browser = new_browser()
    browser.put(theme="dark")
    assert browser.get("failed-login").status_code == 500
    assert browser.read_session() == {"theme": "dark"}
    assert browser.get("whoami").content == b""


# ---- full, misconfigured, evicting


@pytest.mark.parametrize("remote", ["rest"])  # over TCP a real Redis is filled: the next test
def test_a_full_database_is_reported_and_still_read(emulator, member, remote):
    with emulator.fault("capacity"):
        assert member.get("whoami").content == b"ada"
        assert member.put(theme="dark").status_code == 503
        with pytest.raises(SessionStoreUnavailable, match=r"is full: .*Delete keys, choose"):
            SessionStore().create()
        store = SessionStore(member.key)
        assert store["_auth_user_id"]
        with pytest.raises(SessionStoreUnavailable):
            store.cycle_key()
        assert store.session_key == member.key
        assert member.get("whoami").content == b"ada"
        assert member.get("logout").status_code == 200
    assert read_sessions() == {}


def test_sessions_are_read_where_a_full_database_refuses_getex(
    configure_unusual, unusual_emulator, settings, new_browser
):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    settings.SESSION_ALLOW_EVICTION = True
    browser = new_browser()
    browser.put(theme="dark")
    with unusual_emulator.fault("capacity", side="both"):
        assert browser.read_session() == {"theme": "dark"}
        assert browser.put(theme="light").status_code == 503
    assert browser.read_session() == {"theme": "dark"}


def test_a_full_redis_is_reported(configure, valkey):
    configure("tcp", valkey.url)
    store = SessionStore()
    store["theme"] = "dark"
    store.save()
    valkey.call("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(SessionStoreUnavailable, match="is full: OOM"):
            SessionStore().create()
        again = SessionStore(store.session_key)
        assert again["theme"] == "dark"
        with pytest.raises(SessionStoreUnavailable, match="is full"):
            again.cycle_key()
        assert SessionStore(store.session_key)["theme"] == "dark"
        again.delete()
    finally:
        valkey.call("CONFIG", "SET", "maxmemory", "0")


def test_a_wrong_password_logs_no_user_out(configure, emulator, remote):
    if remote == "rest":
        configure("rest", TOKEN="wrong")
    else:
        host = emulator.redis_url.rpartition("@")[2]
        configure("tcp", f"redis://default:wrong@{host}")
    with pytest.raises(SessionStoreUnavailable, match=r"(?i)WRONGPASS|unauthorized|401"):
        SessionStore("somesession").load()


@pytest.mark.usefixtures("configure_unusual")
def test_a_database_that_evicts_is_rejected(remote, wrap_store):
    policy = "optimistic-volatile" if remote == "rest" else "volatile|allkeys"
    with pytest.raises(EvictionNotAllowed, match=rf"{policy}.*\n?.*switch Eviction off"):
        wrap_store(SessionStore("somesession")).load()
    with pytest.raises(EvictionNotAllowed, match="CONFIG SET maxmemory-policy noeviction"):
        wrap_store(SessionStore("somesession")).load()


def test_eviction_can_be_allowed(configure, valkey, settings):
    configure("tcp", valkey.url)
    valkey.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(EvictionNotAllowed, match="allkeys-lru"):
            SessionStore("somesession").load()
        settings.SESSION_ALLOW_EVICTION = True
        assert SessionStore("somesession").load() == {}
    finally:
        valkey.call("CONFIG", "SET", "maxmemory-policy", "noeviction")


def test_the_eviction_policy_is_read_once_and_not_billed(configure, emulator, remote, wrap_store):
    configure(remote)
    with emulator.count() as cost:
        for _ in range(5):
            wrap_store(SessionStore("somesession")).load()
    assert cost.billed == 5
    assert cost.requests == (5 if remote == "rest" else 0)


def test_a_server_that_rejects_info_is_used_with_a_warning(configure, valkey, caplog):
    valkey.call("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", "-info")
    try:
        configure("tcp", f"redis://app:secret@127.0.0.1:{valkey.port}")
        assert SessionStore("somesession").load() == {}
        assert SessionStore("somesession").load() == {}
    finally:
        valkey.call("ACL", "DELUSER", "app")
    assert caplog.text.count("rejected INFO") == 1


def test_missing_environment_variables_are_named(configure, settings):
    configure("local")
    for options in ({"ENV_PREFIX": "SHOP_"}, {"ENV_PREFIX": "SHOP_", "MODE": "local"}):
        settings.CACHES = {"sessions": {**settings.CACHES["sessions"], "OPTIONS": options}}
        with pytest.raises(EvictionNotAllowed, match="Set SHOP_UPSTASH_REDIS_REST_URL and SHOP_"):
            SessionStore().create()


def test_the_local_store_is_rejected_unless_eviction_is_allowed(configure, settings, wrap_store):
    configure("local")
    with pytest.raises(EvictionNotAllowed, match="memory of this process only"):
        wrap_store(SessionStore()).create()
    settings.SESSION_ALLOW_EVICTION = True
    store = wrap_store(SessionStore())
    store.set("theme", "dark")
    store.save()
    assert wrap_store(SessionStore(store.key)).get("theme") == "dark"
    store.cycle_key()
    assert wrap_store(SessionStore(store.key)).get("theme") == "dark"


def test_an_alias_with_another_backend_is_rejected(configure, settings):
    configure("local")
    settings.SESSION_CACHE_ALIAS = "default"
    with pytest.raises(ImproperlyConfigured, match="whose BACKEND is continuum_upstash"):
        SessionStore("somesession").load()


def test_the_middleware_rejects_another_engine(configure, settings, client):
    configure("local")
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    with pytest.raises(ImproperlyConfigured, match="For other engines, use django"):
        client.get("/plain")


@pytest.fixture
def lose_a_reply(monkeypatch):
    """Return a function: the next script of the session database runs, and its reply is lost."""

    def lose():
        database, pending = caches["sessions"].database, [True]
        send, asend = database.send, database.asend

        def lose_reply(batch):
            if pending and any(command[0] == "EVAL" for command in batch.commands):
                pending.pop()
                raise DeadlineExceeded("no complete reply")

        def lossy_send(batch):
            replies = send(batch)
            lose_reply(batch)
            return replies

        async def lossy_asend(batch):
            replies = await asend(batch)
            lose_reply(batch)
            return replies

        monkeypatch.setattr(database, "send", lossy_send)
        monkeypatch.setattr(database, "asend", lossy_asend)
        return pending

    return lose


def test_a_session_survives_a_key_change_whose_reply_was_lost(member, lose_a_reply):
    store = SessionStore(member.key)
    assert store["_auth_user_id"]
    pending = lose_a_reply()
    store.cycle_key()
    assert not pending
    assert SessionStore(store.session_key)["_auth_user_id"] == store["_auth_user_id"]
    assert not SessionStore(member.key).exists(member.key)


@pytest.mark.usefixtures("site")
async def test_the_same_in_async_code(lose_a_reply):
    store = SessionStore()
    await store.aset("a", 1)
    await store.asave()
    old, pending = store.session_key, lose_a_reply()
    await store.acycle_key()
    assert not pending
    assert await SessionStore(store.session_key).aget("a") == 1
    assert not await store.aexists(old)
