"""Reads the session database as an administrator would, without the session engine."""

from __future__ import annotations

from django.core.cache import caches

from continuum_upstash.transports.database_state import Extras


def get_redis():
    return caches["sessions"].client.redis


def read_sessions():
    """Return {Redis key: stored text} of all sessions."""
    redis = get_redis()
    return {key: redis.get(key) for key in redis.keys("*") if ":session:" in key}


def make_index_key(user_id):
    return f"continuum:session-user:{caches['sessions'].key_prefix}:{user_id}"


def count_indexed(user_id):
    """Return the number of entries in a user's index, expired ones included."""
    return get_redis().zcard(make_index_key(user_id))


def forget_process_state():
    """Drop what this process has found out about the session database, as in a new process."""
    caches["sessions"].database.extras = Extras()
