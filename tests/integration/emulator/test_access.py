import httpx
import pytest

UNAUTHORIZED = {
    "error": "WRONGPASS invalid or missing auth token. See "
    "https://docs.upstash.com/redis/troubleshooting/http_unauthorized for details."
}


@pytest.fixture
def anonymous(emulator):
    with httpx.Client(base_url=emulator.rest_url, verify=False) as client:
        yield client


@pytest.fixture
def reader(emulator):
    headers = {"Authorization": f"Bearer {emulator.read_only_token}"}
    with httpx.Client(base_url=emulator.rest_url, headers=headers, verify=False) as client:
        yield client


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER   {}", "{}"])
def test_the_header_may_hold_the_token_with_or_without_bearer(emulator, anonymous, form):
    headers = {"Authorization": form.format(emulator.token)}
    assert anonymous.get("/ping", headers=headers).json() == {"result": "PONG"}


def test_a_token_in_the_query_takes_precedence_over_the_header(emulator, anonymous):
    wrong = {"Authorization": "Bearer wrong"}
    right = {"Authorization": f"Bearer {emulator.token}"}
    assert anonymous.get("/ping", params={"_token": emulator.token}, headers=wrong).is_success
    assert anonymous.get("/ping", params={"_token": "wrong"}, headers=right).status_code == 401


@pytest.mark.parametrize("path", ["/", "/get/k", "/pipeline", "/multi-exec", "/subscribe/c"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": ""}])
def test_without_a_valid_token_every_path_returns_401_in_json(anonymous, path, headers):
    response = anonymous.post(path, content=b"not even json", headers=headers)
    assert (response.status_code, response.json()) == (401, UNAUTHORIZED)


@pytest.mark.parametrize("command", ["get/k", "mget/a/b", "ttl/k", "hgetall/h", "ping", "dbsize"])
def test_the_read_only_token_may_read(reader, command):
    assert reader.get(command).status_code == 200


@pytest.mark.parametrize(
    "command",
    ["set/k/v", "del/k", "evalsha/x/0", "eval/x/0", "incr/k", "flushdb", "scan/0", "keys/*",
     "publish/c/m", "script/load/x", "config/set/a/b"],
)  # fmt: skip
def test_the_read_only_token_may_not_write_or_scan(reader, command):
    response = reader.get(command)
    name = command.split("/")[0]
    assert response.status_code == 400
    text = f"this user has no permissions to run the '{name}' command or its subcommand"
    assert response.json() == {"error": f"NOPERM {text}"}


def test_a_denied_command_is_an_error_in_a_pipeline_and_discards_a_transaction(reader):
    commands = [["GET", "k"], ["SET", "k", "v"]]
    first, second = reader.post("/pipeline", json=commands).json()
    assert first == {"result": None}
    assert second["error"].startswith("NOPERM")
    discarded = reader.post("/multi-exec", json=commands)
    assert discarded.status_code == 400
    assert discarded.json()["error"].startswith("NOPERM")


def test_the_control_port_requires_the_full_token(emulator):
    url = f"{emulator.addresses.control_url}/_emulator/count"
    for token, status in [("wrong", 401), (emulator.read_only_token, 401), (emulator.token, 200)]:
        response = httpx.get(url, headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == status


def test_the_rest_port_has_no_control_routes(rest):
    assert "not available: '_EMULATOR'" in rest.http.get("/_emulator/count").json()["error"]
