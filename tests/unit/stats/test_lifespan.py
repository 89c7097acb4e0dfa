from __future__ import annotations

from continuum_upstash.stats import lifespan


async def call(application, scope, *messages):
    """Call an ASGI application with messages; return the types of what it sends."""
    received, sent = iter(messages), []

    async def receive():
        return {"type": next(received)}

    async def send(message):
        sent.append(message["type"])

    await application({"type": scope}, receive, send)
    return sent


async def respond(scope, receive, send):
    await send({"type": f"{scope['type']}.response"})


async def test_the_last_totals_are_written_at_shutdown(monkeypatch):
    written = []
    monkeypatch.setattr(lifespan, "flush_at_exit", lambda: written.append(1))
    application = lifespan.handle_lifespan(respond)
    sent = await call(application, "lifespan", "lifespan.startup", "lifespan.shutdown")
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert written == [1]


async def test_other_scopes_reach_the_application(monkeypatch):
    monkeypatch.setattr(lifespan, "flush_at_exit", None)
    assert await call(lifespan.handle_lifespan(respond), "http") == ["http.response"]
