"""The error texts of the service, as documented or as observed there."""

from typing import Final

from continuum_upstash.emulator.redis.resp2_wire import Error

UNAUTHORIZED: Final = (
    "WRONGPASS invalid or missing auth token. See "
    "https://docs.upstash.com/redis/troubleshooting/http_unauthorized for details."
)
EMPTY_BODY: Final = "EOF"
NOT_AN_ARRAY: Final = "expected JSON array"
EMPTY_COMMAND: Final = "ERR empty command"
SYNTAX_ERROR: Final = "ERR syntax error"
ENCODED_SLASH: Final = (
    "ERR emulator: the service does not document %2F in a path; send the command as JSON instead"
)
NULL_ARGUMENT: Final = "ERR null args are not supported"
# Texts from users' reports; the documentation has none for these.
BUDGET_SPENT: Final = Error(
    b"ERR This database has been suspended for exceeding the defined budget limit. Please increase "
    b"budget or switch to a Fixed plan on Upstash Console"
)
PLAN_LIMIT_REACHED: Final = Error(
    b"ERR This database has reached current Fixed plan limits. Please upgrade manually or enable "
    b"auto upgrade on Upstash Console."
)
READ_ONLY_UPGRADE: Final = Error(b"READONLY Writes are temporarily rejected due to server upgrade")

# Error texts of Valkey that the service words differently.
REWORDED: Final = {
    b"ERR value is not an integer or out of range": Error(
        b"ERR value is not an int or out of range"
    ),
    b"NOSCRIPT No matching script.": Error(b"NOSCRIPT No matching script. Please use EVAL."),
}


class ReplySizeError(Error):
    """A reply exceeds the request limit. As observed on the service: an error body, HTTP 200."""

    http_status = 200


class RequestSizeError(Error):
    """The arguments of a command exceed the request limit."""

    http_status = 413


def wrong_argument_type(bracket: str) -> str:
    """Return the error for an argument that is a JSON array or object."""
    return f'ERR unsupported arg type: "{bracket}": json.Delim'


def not_available(name: bytes) -> Error:
    return Error(
        b"ERR Command is not available: '%b'. See "
        b"https://upstash.com/docs/redis/overall/rediscompatibility for details" % name.upper()
    )


def not_over_rest(name: bytes) -> Error:
    return Error(
        b'ERR Command "%b" is not allowed in REST or it has a special context path' % name.upper()
    )


def not_while_subscribed(name: bytes) -> Error:
    return Error(
        b"ERR Can't execute '%b': only (P)SUBSCRIBE / (P)UNSUBSCRIBE / PING / QUIT / RESET are "
        b"allowed in this context" % name
    )


def no_permission(name: bytes) -> Error:
    return Error(
        b"NOPERM this user has no permissions to run the '%b' command or its subcommand"
        % name.lower()
    )


def wrong_arity(name: bytes) -> Error:
    return Error(b"ERR wrong number of arguments for '%b' command" % name.lower())


def wrong_database(index: bytes) -> Error:
    return Error(b"ERR Only 0th database is supported! Selected DB: %b" % index)


def _format_request_size(limit: int, actual: int) -> bytes:
    return (
        b"ERR max request size exceeded. Limit: %d bytes, Actual: %d bytes. See "
        b"https://upstash.com/docs/redis/troubleshooting/max_request_size_exceeded for details"
        % (limit, actual)
    )


def request_too_large(limit: int, actual: int) -> Error:
    return RequestSizeError(_format_request_size(limit, actual))


def reply_too_large(limit: int, actual: int) -> Error:
    return ReplySizeError(_format_request_size(limit, actual))


def key_too_large(limit: int, actual: int) -> Error:
    return Error(b"ERR max key size exceeded. Limit: %d bytes, Actual: %d bytes" % (limit, actual))


def capacity_reached(threshold: int, usage: int) -> Error:
    return Error(
        b"ERR DB capacity quota exceeded. Threshold: %d bytes, Usage: %d bytes. See "
        b"https://upstash.com/docs/redis/troubleshooting/db_capacity_quota_exceeded for details"
        % (threshold, usage)
    )


def quota_reached(limit: int, usage: int) -> Error:
    return Error(
        b"ERR max requests limit exceeded. Limit: %d, Usage: %d. See "
        b"https://upstash.com/docs/redis/troubleshooting/max_requests_limit for details"
        % (limit, usage)
    )
