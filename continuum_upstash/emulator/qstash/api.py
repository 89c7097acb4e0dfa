"""The HTTP API of QStash: publish, batch, schedules, messages, dead letters and signing keys."""

import hmac
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, unquote, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from continuum_upstash.emulator.qstash.cron import Cron
from continuum_upstash.emulator.qstash.deliveries import Deliveries, hash_content
from continuum_upstash.emulator.qstash.messages import Schedule, Template, make_id

_MAX_BODY: Final = 10 * 1024 * 1024  # bytes of a request; the size of a message on a paid plan

_Handler: TypeAlias = Callable[[Request, str], Awaitable[Any]]


class _RequestError(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class QStashApi:
    """`/v2/…`; requires the token, as `Authorization: Bearer` or as `?qstash_token=`."""

    def __init__(self, deliveries: Deliveries, token: str) -> None:
        self._deliveries = deliveries
        self._token = token
        routes: tuple[tuple[str, str, _Handler], ...] = (
            ("POST", r"/v2/publish/(.+)", self._publish),
            ("POST", r"/v2/batch()", self._publish_batch),
            ("GET", r"/v2/messages/([^/]+)", self._read_message),
            ("DELETE", r"/v2/messages/([^/]+)", self._cancel_message),
            ("DELETE", r"/v2/messages()", self._cancel_messages),
            ("POST", r"/v2/schedules/([^/]+)/pause", self._pause_schedule),
            ("POST", r"/v2/schedules/([^/]+)/resume", self._resume_schedule),
            ("PATCH", r"/v2/schedules/([^/]+)/pause", self._pause_schedule),
            ("PATCH", r"/v2/schedules/([^/]+)/resume", self._resume_schedule),
            ("POST", r"/v2/schedules/(.+)", self._create_schedule),
            ("GET", r"/v2/schedules()", self._list_schedules),
            ("GET", r"/v2/schedules/([^/]+)", self._read_schedule),
            ("DELETE", r"/v2/schedules/([^/]+)", self._delete_schedule),
            ("GET", r"/v2/dlq()", self._list_dead_letters),
            ("GET", r"/v2/dlq/([^/]+)", self._read_dead_letter),
            ("POST", r"/v2/dlq/retry/([^/]+)", self._retry_dead_letter),
            ("POST", r"/v2/dlq/retry()", self._retry_dead_letters),
            ("DELETE", r"/v2/dlq/([^/]+)", self._delete_dead_letter),
            ("DELETE", r"/v2/dlq()", self._delete_dead_letters),
            ("GET", r"/v2/keys()", self._read_keys),
            ("POST", r"/v2/keys/rotate()", self._rotate_keys),
        )
        self._routes = [(method, re.compile(path), handler) for method, path, handler in routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._respond(Request(scope, receive))
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        try:
            self._authorize(request)
            result = await self._dispatch(request)
        except _RequestError as error:
            return JSONResponse({"error": str(error)}, error.status)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        return result if isinstance(result, Response) else JSONResponse(result)

    def _authorize(self, request: Request) -> None:
        header = request.headers.get("authorization", "")
        token = request.query_params.get("qstash_token") or header.removeprefix("Bearer ")
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            raise _RequestError(401, "unauthorized: invalid token")

    async def _dispatch(self, request: Request) -> Any:
        path = request.scope["raw_path"].decode("latin-1")
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(path)
            if match and method == request.method:
                return await handler(request, match[1])
        known = sorted({pattern.pattern.replace("()", "") for _, pattern, _ in self._routes})
        raise _RequestError(
            404, f"the emulator has no {request.method} {path}; its paths: {', '.join(known)}"
        )

    async def _publish(self, request: Request, destination: str) -> Response:
        body = await _read_body(request)
        result = self._accept(
            _read_destination(request, destination), request.headers, body, _read_ip(request)
        )
        return JSONResponse(result, 202 if "deduplicated" in result else 201)

    async def _publish_batch(self, request: Request, _: str) -> list[Any]:
        match json.loads(await _read_body(request)):
            case [*items] if all(isinstance(item, dict) for item in items):
                return [self._accept_item(item, _read_ip(request)) for item in items]
        raise ValueError("a batch must be a JSON array of objects")

    def _accept_item(self, item: dict[str, Any], caller_ip: str) -> dict[str, Any]:
        headers = {name.lower(): str(value) for name, value in item.get("headers", {}).items()}
        body = str(item.get("body") or "").encode()
        return self._accept(str(item.get("destination", "")), headers, body, caller_ip)

    def _accept(
        self, url: str, headers: Mapping[str, str], body: bytes, caller_ip: str
    ) -> dict[str, Any]:
        now = self._deliveries.clock.now()
        template = Template.parse(url, headers, body, now=now, caller_ip=caller_ip)
        duplicate_of = headers.get("upstash-deduplication-id", "")
        if headers.get("upstash-content-based-deduplication", "").lower() == "true":
            duplicate_of = hash_content(template)
        message_id, is_duplicate = self._deliveries.publish(template, duplicate_of)
        result: dict[str, Any] = {"messageId": message_id}
        return result | {"deduplicated": True} if is_duplicate else result

    async def _read_message(self, _: Request, message_id: str) -> Any:
        return _find(self._deliveries.messages, message_id, "message").as_json()

    async def _cancel_message(self, _: Request, message_id: str) -> Any:
        if not self._deliveries.cancel(message_id):
            raise _RequestError(404, f"message {message_id} not found")
        return {}

    async def _cancel_messages(self, request: Request, _: str) -> Any:
        ids = await _read_ids(request, "messageIds", self._deliveries.messages)
        return {"cancelled": sum(map(self._deliveries.cancel, ids))}

    async def _create_schedule(self, request: Request, destination: str) -> Response:
        headers, now = request.headers, self._deliveries.clock.now()
        cron_text = headers.get("upstash-cron", "")
        cron = Cron.parse(cron_text)
        schedule = Schedule(
            id=headers.get("upstash-schedule-id") or make_id("scd"),
            cron_text=cron_text,
            cron=cron,
            template=Template.parse(
                _read_destination(request, destination),
                headers,
                await _read_body(request),
                now=now,
                caller_ip=_read_ip(request),
            ),
            created=now,
            due=cron.compute_next(now),
        )
        self._deliveries.add_schedule(schedule)
        return JSONResponse({"scheduleId": schedule.id}, 201)

    async def _list_schedules(self, _request: Request, _: str) -> Any:
        return [each.as_json() for each in self._deliveries.schedules.values()]

    async def _read_schedule(self, _: Request, schedule_id: str) -> Any:
        return _find(self._deliveries.schedules, schedule_id, "schedule").as_json()

    async def _delete_schedule(self, _: Request, schedule_id: str) -> Any:
        _find(self._deliveries.schedules, schedule_id, "schedule")
        del self._deliveries.schedules[schedule_id]
        return {}

    async def _pause_schedule(self, _: Request, schedule_id: str) -> Any:
        _find(self._deliveries.schedules, schedule_id, "schedule").is_paused = True
        return {}

    async def _resume_schedule(self, _: Request, schedule_id: str) -> Any:
        schedule = _find(self._deliveries.schedules, schedule_id, "schedule")
        schedule.is_paused = False
        schedule.due = schedule.cron.compute_next(self._deliveries.clock.now())
        self._deliveries.add_schedule(schedule)
        return {}

    async def _list_dead_letters(self, request: Request, _: str) -> Any:
        shown = [each.as_json() for each in self._deliveries.dead_letters.values()]
        for name in ("messageId", "url", "scheduleId", "label", "responseStatus"):
            if value := request.query_params.get(name):
                shown = [each for each in shown if str(each.get(name)) == value]
        return {"messages": shown}

    async def _read_dead_letter(self, _: Request, dlq_id: str) -> Any:
        return _find(self._deliveries.dead_letters, dlq_id, "dead letter").as_json()

    async def _retry_dead_letter(self, _: Request, dlq_id: str) -> Any:
        dead_letter = _find(self._deliveries.dead_letters, dlq_id, "dead letter")
        return {"messageId": self._deliveries.retry_dead_letter(dead_letter)}

    async def _retry_dead_letters(self, request: Request, _: str) -> Any:
        letters = self._deliveries.dead_letters
        ids = await _read_ids(request, "dlqIds", letters)
        found = [letters[each] for each in ids if each in letters]
        retried = [self._deliveries.retry_dead_letter(each) for each in found]
        return {"responses": [{"messageId": each} for each in retried]}

    async def _delete_dead_letter(self, _: Request, dlq_id: str) -> Any:
        _find(self._deliveries.dead_letters, dlq_id, "dead letter")
        del self._deliveries.dead_letters[dlq_id]
        return {}

    async def _delete_dead_letters(self, request: Request, _: str) -> Any:
        letters = self._deliveries.dead_letters
        ids = await _read_ids(request, "dlqIds", letters)
        return {"deleted": sum(letters.pop(each, None) is not None for each in ids)}

    async def _read_keys(self, _request: Request, _: str) -> Any:
        return self._deliveries.keys.as_json()

    async def _rotate_keys(self, _request: Request, _: str) -> Any:
        self._deliveries.keys.rotate()
        return self._deliveries.keys.as_json()


def _find(items: Mapping[str, Any], item_id: str, kind: str) -> Any:
    try:
        return items[item_id]
    except KeyError:
        raise _RequestError(404, f"{kind} {item_id} not found") from None


async def _read_body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _MAX_BODY:
            raise _RequestError(413, f"the body exceeds {_MAX_BODY} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def _read_ids(request: Request, name: str, everything: Mapping[str, Any]) -> list[str]:
    """Return the ids in the body; without a body, all."""
    body = await _read_body(request)
    if not body:
        return list(everything)
    match json.loads(body):
        case dict() as content if isinstance(content.get(name), list):
            return [str(each) for each in content[name]]
    raise ValueError(f'the body must be a JSON object such as {{"{name}": ["…"]}}')


def _read_destination(request: Request, path: str) -> str:
    """Return the URL in the path, percent-encoded or not; its query is the query of the request."""
    if path.lower().startswith(("http%3a", "https%3a")):
        path = unquote(path)
    pairs = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    query = urlencode([(name, value) for name, value in pairs if name != "qstash_token"])
    return f"{path}?{query}" if query else path


def _read_ip(request: Request) -> str:
    return request.client.host if request.client else ""
