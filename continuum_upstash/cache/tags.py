"""Tags: `delete_tags` invalidates every value that was stored with one of them, in one command.

Each tag has a key that holds a random token. A value is stored with the tokens of its tags, which
must be read before the value is computed: a tag that is deleted meanwhile then invalidates it.
`plans/envelopes.py` compares them when the value is read.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeGuard

from continuum_upstash.codec.envelope import (
    MAX_TAG_BYTES,
    MAX_TAGS,
    TOKEN_BYTES,
    Envelope,
    pack_envelope,
)
from continuum_upstash.errors import ReplyError
from continuum_upstash.keys import TAG_KEYS
from continuum_upstash.plans.effects import Batch, Encode, Plan
from continuum_upstash.plans.envelopes import fetch_tokens
from continuum_upstash.plans.keyvalue import KeyValuePlans, make_set_command
from continuum_upstash.protocol import Command, Replies

# A token that expires invalidates all values of its tag, so it outlives nearly all of them.
MIN_TOKEN_MS: Final = 30 * 24 * 60 * 60 * 1000


def qualify_tags(prefix: str, tags: Iterable[str]) -> tuple[str, ...]:
    """Return tags as they are stored with a value: with the prefix of the cache, each once.

    Raises:
        TypeError: `tags` is one text, or a tag is not a text.
        ValueError: a tag is empty or too long.
    """
    if isinstance(tags, str):
        raise TypeError(f"tags must be a list or tuple of texts, for example [{tags!r}].")
    names: dict[str, None] = {}
    for tag in tags:
        if not isinstance(tag, str):
            raise TypeError(f"A tag is a text, not {type(tag).__qualname__}.")
        name = f"{prefix}:{tag}"
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            raise ValueError(
                f"A tag contains a lone surrogate (U+D800 to U+DFFF), which has no UTF-8 form: "
                f"{tag[:MAX_TAG_BYTES]!r}. Clean the text that the tag is made from."
            ) from None
        if not tag or size > MAX_TAG_BYTES:
            raise ValueError(
                f"A tag has 1 to {MAX_TAG_BYTES} bytes, including KEY_PREFIX and a colon: "
                f"{tag[:MAX_TAG_BYTES]!r} has {len(tag.encode())}."
            )
        names[name] = None
    return tuple(names)


def qualify_tags_of_value(prefix: str, tags: Iterable[str]) -> tuple[str, ...]:
    """Return the tags of one value, see `qualify_tags`.

    Raises:
        TypeError: see `qualify_tags`.
        ValueError: there are more than MAX_TAGS, or see `qualify_tags`.
    """
    names = qualify_tags(prefix, tags)
    if len(names) > MAX_TAGS:
        raise ValueError(f"A value has at most {MAX_TAGS} tags, not {len(names)}.")
    return names


def make_tag_keys(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the Redis keys of qualified tags."""
    return tuple(f"{TAG_KEYS}{tag}" for tag in tags)


def complete_tokens(
    keyvalue: KeyValuePlans, tokens: Mapping[str, bytes | None], lifetime_ms: int | None
) -> Plan[dict[str, bytes]]:
    """Return the tokens to store with a value; a tag without one gets one.

    Billed: 1 command for each tag without a token; if another client creates one at the same time,
    1 more for all.

    Args:
        keyvalue: the plans of the cache.
        tokens: the tokens in the database, read before the value is computed.
        lifetime_ms: how long the value will be kept; None: no expiry.

    Raises:
        ReplyError: the server rejected the command, and not for lack of space. A token that was
            not stored for lack of space is returned nevertheless, and the value is then invalid.
    """
    created = {tag: _make_token() for tag, token in tokens.items() if not _is_token(token)}
    if not created:
        return {tag: token for tag, token in tokens.items() if token is not None}
    ttl_ms = None if lifetime_ms is None else max(lifetime_ms, MIN_TOKEN_MS)
    commands: list[Command] = [
        (*make_set_command(f"{TAG_KEYS}{tag}", token, ttl_ms), "NX")
        for tag, token in created.items()
    ]
    replies: Replies = yield Batch(commands)
    for reply in replies:
        if isinstance(reply, ReplyError) and not isinstance(reply, keyvalue.unstorable):
            raise reply
    others = [tag for tag, reply in zip(created, replies, strict=True) if reply is None]
    theirs = (yield from fetch_tokens(others)) if others else {}
    current = {**tokens, **created, **theirs}
    return {tag: token for tag, token in current.items() if _is_token(token)} | {
        tag: _make_token() for tag, token in current.items() if not _is_token(token)
    }


def store_tagged(
    keyvalue: KeyValuePlans, key: str, value: object, ttl_ms: int | None, tags: tuple[str, ...]
) -> Plan[bool]:
    """Store a value with qualified tags; return whether it was stored. Not for ttl_ms <= 0.

    Billed: 2 commands, and those of `complete_tokens`.
    """
    current = yield from fetch_tokens(tags)
    tokens = yield from complete_tokens(keyvalue, current, ttl_ms)
    content = yield Encode(value)
    return (yield from store(keyvalue, key, Envelope(content, tokens=tokens), ttl_ms)) is not False


def store(
    keyvalue: KeyValuePlans,
    key: str,
    envelope: Envelope,
    ttl_ms: int | None,
    condition: Literal["NX", "XX", ""] = "",
) -> Plan[Any]:
    """Send the SET of a value; return its reply, or False if the server does not store it.

    Of an envelope without a time and tags, only the value is stored.
    """
    is_plain = not envelope.fresh_until_ms and not envelope.tokens
    data = envelope.content if is_plain else pack_envelope(envelope)
    outdated = () if condition == "NX" else (key,)
    if keyvalue.exceeds_max_size(data):
        yield from keyvalue.delete_many(outdated)
        return False
    command = make_set_command(key, data, ttl_ms)
    return (yield from keyvalue.write((*command, condition) if condition else command, *outdated))


def _make_token() -> bytes:
    # Text, which every form of the REST API can send as it is.
    return secrets.token_urlsafe(9).encode()


def _is_token(token: bytes | None) -> TypeGuard[bytes]:
    return token is not None and len(token) == TOKEN_BYTES
