"""Steps 8 and 9: jobs from one process to another, and events to all of them."""

from __future__ import annotations

from typing import Any

from django.core.cache import caches

from continuum_upstash.federation import Channel, Queue
from example_project.guide.outcome import require


def use_queue(prefix: str) -> dict[str, Any]:
    """Enqueue three jobs, reserve and acknowledge two of them, and give the third one back."""
    queue = Queue(f"{prefix}mail".replace(":", "."))
    try:
        queue.enqueue_many({"to": f"{name}@example.com"} for name in ("ada", "bruno", "cleo"))
        jobs = queue.reserve(3, visibility=30)
        acknowledged = queue.ack_many(jobs[:2])
        require(acknowledged == 2, "the jobs were lost to another worker")
        jobs[2].release()
        return {
            "reserved": [job.payload["to"] for job in jobs],
            "acknowledged": acknowledged,
            "waiting": queue.size().ready,
        }
    finally:
        caches["federation"].client.delete(f"fed:queue:{{{queue.name}}}")


def use_channel(prefix: str) -> dict[str, Any]:
    """Publish events, receive them as they come, and read what was missed."""
    name = f"ws:{prefix}room"
    room = Channel(name)
    try:
        first = room.publish("chat.message", {"text": "Hello"})
        with room.subscribe(since=first) as events:
            room.publish("chat.message", {"text": "How are you?"})
            event = events.receive(timeout=10)
        require(event, "no event was received within 10 s")
        return {
            "received": event.data if event else None,
            "history": [each.data["text"] for each in room.history(limit=10)],
        }
    finally:
        caches["federation"].client.delete(name)
