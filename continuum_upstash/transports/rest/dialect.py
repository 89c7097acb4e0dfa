"""What the server behind a REST URL has turned out not to support.

Upstash supports every form that this package sends. A compatible server may not, for example
serverless-redis-http in front of a plain Redis: it then rejects a request before anything has run.
The request is repeated in the form that every server has, and that form is used from then on.
"""

from __future__ import annotations

from typing import Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.observe import logger
from continuum_upstash.plans.effects import Batch, Plan
from continuum_upstash.protocol import Replies, Reply

_REJECTED_STATUS: Final = frozenset({404, 414})
_SYNTAX_ERRORS: Final = ("ERR syntax error", "ERR wrong number of arguments")
_SYNTAX_ERROR_BYTES: Final = tuple(text.encode() for text in _SYNTAX_ERRORS)


class RestDialect:
    """The request forms that the server of one database supports, as found by this process.

    Attributes:
        value_in_body: ``POST /SET/key`` with the value as its body.
        resp2: replies to single commands in RESP2.
        key_locking: the script flag ``allow-key-locking``, which plain Redis rejects.
    """

    __slots__ = ("key_locking", "resp2", "value_in_body")

    def __init__(self) -> None:
        self.value_in_body = self.resp2 = self.key_locking = True


def log_unsupported(form: str, label: str) -> None:
    """Log once per process and database which form is no longer used."""
    logger.warning("%s: the server does not support %s; using another form.", label, form)


def rejects_value_in_body(status: int, body: bytes) -> bool:
    """Return whether a response means that the server did not understand the request's form.

    Nothing has run then: the path is unknown or too long, or the arguments are in another order.
    """
    if status in _REJECTED_STATUS:
        return True
    if not body.startswith((b"-", b'{"error"')):
        return False
    return any(text in body[:200] for text in _SYNTAX_ERROR_BYTES)


def repeat_as_json(batch: Batch, dialect: RestDialect, label: str) -> Plan[Replies]:
    """Send a batch again with its value as JSON, and remember the form if that succeeded."""
    dialect.value_in_body = False
    has_succeeded = False
    try:
        replies: Replies = yield batch
        has_succeeded = not _is_syntax_error(replies[0])
    finally:
        dialect.value_in_body = not has_succeeded
    if has_succeeded:
        log_unsupported("a value as the body of a request", label)
    return replies


def repeat_scripts(
    batch: Batch, replies: Replies, dialect: RestDialect, label: str
) -> Plan[Replies]:
    """Send the scripts of a batch again that were rejected for their flag; nothing of them ran.

    Those of a transaction are not repeated: its other commands have run.
    """
    rejected = [at for at, reply in enumerate(replies) if _is_flag_error(reply)]
    if not rejected:
        return replies
    dialect.key_locking = False
    log_unsupported("the script flag allow-key-locking", label)
    if not batch.atomic:
        repeated: Replies = yield batch._replace(commands=[batch.commands[at] for at in rejected])
        for at, reply in zip(rejected, repeated, strict=True):
            replies[at] = reply
    return replies


def _is_syntax_error(reply: Reply) -> bool:
    return isinstance(reply, ReplyError) and str(reply).startswith(_SYNTAX_ERRORS)


def _is_flag_error(reply: Reply) -> bool:
    return isinstance(reply, ReplyError) and "allow-key-locking" in str(reply)
