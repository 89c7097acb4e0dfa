"""While the session database is away, full, closed to us, or the wrong one."""

from __future__ import annotations

import pytest
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured

from continuum_upstash.emulator.process import running
from continuum_upstash.errors import SessionStoreUnavailable
from continuum_upstash.sessions import SessionStore
from continuum_upstash.sessions.runner import SessionsWouldVanish
from tests.integration.sessions.session_site import records

JSON = {"accept": "application/json"}


@pytest.fixture
def outage(emulator, site):
    return lambda: emulator.fault("refuse", side="both")


@pytest.fixture
def recover():
    """Return a function that lets the next call try the database, however long the break is."""

    def reset():
        caches["sessions"].database.standby.breaker.reset()

    return reset


@pytest.fixture
def member(site, ada, visitor):
    browser = visitor()
    browser.get("login")
    return browser


def test_a_page_that_needs_its_session_is_503_and_the_cookie_stays(member, outage, recover):
    key = member.key
    with outage():
        response = member.get("whoami")
    assert response.status_code == 503
    assert int(response["Retry-After"]) >= 1
    assert "no-store" in response["Cache-Control"]
    assert not response.cookies
    assert b"still logged in" in response.content
    assert member.key == key
    recover()
    assert member.get("whoami").content == b"ada"


@pytest.mark.parametrize("page", ["show", "whoami", "login", "logout"])
def test_no_page_touches_the_cookie(page, member, outage):
    with outage():
        for _ in range(5):  # before and after the breaker opens
            response = member.get(page)
            assert (response.status_code, len(response.cookies)) == (503, 0)


def test_a_write_is_503_too(member, visitor, outage):
    with outage():
        assert member.put(theme="dark").status_code == 503
        stranger = visitor()
        assert stranger.put(theme="dark").status_code == 503
        assert stranger.key is None


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


def test_the_projects_own_page_goes_before_the_built_in_one(member, outage, settings, tmp_path):
    (tmp_path / "session_unavailable.html").write_text("Wait {{ retry_after }} s")
    settings.TEMPLATES = [
        {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [tmp_path]}
    ]
    with outage():
        assert member.get("show").content.startswith(b"Wait ")


def test_what_another_middleware_meets_is_503_and_not_500(outage, settings, member, visitor):
    settings.MIDDLEWARE = [
        settings.MIDDLEWARE[0],
        "tests.integration.sessions.session_site.reads_session_before_the_view",
    ]
    browser = visitor()
    browser.cookies["sessionid"] = member.key
    with outage():
        assert browser.get("plain").status_code == 503


def test_the_log_names_the_database_and_no_key(member, outage, caplog):
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
def test_every_operation_says_so_and_keeps_the_key(operation, session, outage):
    store = session("somesession")
    with outage(), pytest.raises(SessionStoreUnavailable, match="nobody was logged out"):
        operation(store)
    assert store.key == "somesession"


def test_a_new_session_that_could_not_be_stored_has_no_key(session, outage):
    store = session()
    store.set("theme", "dark")
    with outage(), pytest.raises(SessionStoreUnavailable):
        store.save()
    assert store.key is None
    store.load()


def test_an_outage_is_over_in_one_request_when_it_is_over(member, outage, recover):
    with outage():
        for _ in range(4):
            assert member.get("show").status_code == 503
    recover()
    assert member.get("whoami").content == b"ada"
    assert member.put(theme="dark").status_code == 200


def test_a_failed_login_keeps_the_visitors_session(visitor, ada, site):
    browser = visitor()
    browser.put(theme="dark")
    assert browser.get("failed-login").status_code == 500
    assert browser.session() == {"theme": "dark"}
    assert browser.get("whoami").content == b""


# ---- full, closed, wrong


@pytest.mark.parametrize("remote", ["rest"])  # over TCP a real Redis is filled: the next test
def test_a_full_database_is_called_full_and_goes_on_reading(emulator, member, remote):
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
    assert records() == {}


def test_a_full_redis_is_called_full(configure, valkey):
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


def test_a_wrong_secret_is_no_logout(configure, emulator, remote):
    if remote == "rest":
        configure("rest", TOKEN="wrong")
    else:
        host = emulator.redis_url.rpartition("@")[2]
        configure("tcp", f"redis://default:wrong@{host}")
    with pytest.raises(SessionStoreUnavailable, match=r"(?i)WRONGPASS|unauthorized|401"):
        SessionStore("somesession").load()


def test_a_database_that_evicts_is_refused_with_the_way_out(configure, remote, api, in_api):
    with running("--eviction") as emulator:
        location = emulator.rest_url if remote == "rest" else emulator.redis_url
        options = {"TOKEN": emulator.token} if remote == "rest" else {}
        configure(remote, location, **options)
        policy = "optimistic-volatile" if remote == "rest" else "volatile|allkeys"
        with pytest.raises(SessionsWouldVanish, match=rf"{policy}.*\n?.*switch Eviction off"):
            in_api(SessionStore("somesession")).load()
        with pytest.raises(SessionsWouldVanish, match="CONFIG SET maxmemory-policy noeviction"):
            in_api(SessionStore("somesession")).load()


def test_an_evicting_redis_may_be_allowed(configure, valkey, settings):
    configure("tcp", valkey.url)
    valkey.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(SessionsWouldVanish, match="allkeys-lru"):
            SessionStore("somesession").load()
        settings.SESSION_ALLOW_EVICTION = True
        assert SessionStore("somesession").load() == {}
    finally:
        valkey.call("CONFIG", "SET", "maxmemory-policy", "noeviction")


def test_a_process_asks_once_and_for_free(configure, emulator, remote, in_api):
    configure(remote)
    with emulator.count() as spent:
        for _ in range(5):
            in_api(SessionStore("somesession")).load()
    assert spent.billed == 5
    assert spent.requests == (5 if remote == "rest" else 0)


def test_a_server_that_hides_info_is_trusted_with_a_warning(configure, valkey, caplog):
    valkey.call("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", "-info")
    try:
        configure("tcp", f"redis://app:secret@127.0.0.1:{valkey.port}")
        assert SessionStore("somesession").load() == {}
        assert SessionStore("somesession").load() == {}
    finally:
        valkey.call("ACL", "DELUSER", "app")
    assert caplog.text.count("does not answer INFO") == 1


def test_who_forgot_the_variables_of_sessions_is_told_their_names(configure, settings):
    configure("local")
    for options in ({"ENV_PREFIX": "SHOP_"}, {"ENV_PREFIX": "SHOP_", "MODE": "local"}):
        settings.CACHES = {"sessions": {**settings.CACHES["sessions"], "OPTIONS": options}}
        with pytest.raises(SessionsWouldVanish, match="Set SHOP_UPSTASH_REDIS_REST_URL and SHOP_"):
            SessionStore().create()


def test_the_local_store_is_refused_unless_it_is_a_trial(configure, settings, in_api):
    configure("local")
    with pytest.raises(SessionsWouldVanish, match="memory of this one process"):
        in_api(SessionStore()).create()
    settings.SESSION_ALLOW_EVICTION = True
    store = in_api(SessionStore())
    store.set("theme", "dark")
    store.save()
    assert in_api(SessionStore(store.key)).get("theme") == "dark"
    store.cycle_key()
    assert in_api(SessionStore(store.key)).get("theme") == "dark"


def test_an_alias_that_is_not_ours_is_refused(configure, settings):
    configure("local")
    settings.SESSION_CACHE_ALIAS = "default"
    with pytest.raises(ImproperlyConfigured, match="whose BACKEND is continuum_upstash"):
        SessionStore("somesession").load()


def test_the_middleware_refuses_another_engine(configure, settings, client):
    configure("local")
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    with pytest.raises(ImproperlyConfigured, match="for other engines use Django's"):
        client.get("/plain")
