"""Upstash's Developer API for the emulator's one database, fed from the emulator's own bill.

GET /v2/redis/databases, /v2/redis/database/{id} and /v2/redis/stats/{id}, with the field names of
upstash.com/docs/devops/developer-api. The month begins when the usage is reset.
"""

import base64
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from continuum_upstash.emulator.commands.command_specs import CommandSpecs
from continuum_upstash.emulator.redis.upstream import UpstreamError, UpstreamPool
from continuum_upstash.emulator.usage import UsageCounter

DATABASE_ID: Final = "00000000-0000-4000-8000-000000000001"
_PREFIX: Final = "/v2/redis/"
_DOLLARS_PER_COMMAND: Final = 0.2 / 100_000  # of pay as you go
_FIXED_DOLLARS: Final = {
    "fixed_250mb": 10, "fixed_1gb": 20, "fixed_5gb": 100, "fixed_10gb": 200, "fixed_50gb": 400,
    "fixed_100gb": 800, "fixed_500gb": 1500,
}  # fmt: skip
_PLANS: Final = ("free", "payg", *_FIXED_DOLLARS)
_REGIONS: Final = ("us-west-1", "eu-west-1", "eu-central-1", "sa-east-1", "ap-southeast-1")


@dataclass(frozen=True, slots=True)
class DeveloperAccount:
    """The account that owns the database.

    Attributes:
        email, key: the credentials of the API.
        plan: ``free``, ``payg`` or ``fixed_…``.
        regions: number of read regions.
        budget: per month; 0: none.
    """

    email: str
    key: str
    plan: str = "payg"
    regions: int = 0
    budget: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the account of `email=…,key=…,plan=…,regions=…,budget=…`; see `build`."""
        return cls.build(dict(part.partition("=")[::2] for part in text.split(",")))

    @classmethod
    def build(cls, options: Mapping[str, Any]) -> Self:
        """Return an account.

        Raises:
            ValueError: a name is unknown or missing, or a value is invalid.
        """
        values = dict(options)
        known = [each.name for each in fields(cls)]
        if not {"email", "key"} <= values.keys() <= set(known):
            raise ValueError(f"an account needs email and key; its entries are {', '.join(known)}")
        for name in ("regions", "budget"):
            values[name] = int(values.get(name, 0))
        account = cls(**values)
        if account.plan not in _PLANS:
            raise ValueError(f"unknown plan {account.plan!r}; known: {', '.join(_PLANS)}")
        if not 0 <= account.regions <= len(_REGIONS):
            raise ValueError(f"regions must be 0 to {len(_REGIONS)}")
        return account


class DeveloperApi:
    """The API as an ASGI application.

    Attributes:
        account: the account with the database; None: all requests are rejected.
    """

    def __init__(
        self,
        account: DeveloperAccount | None,
        *,
        pool: UpstreamPool,
        usage: UsageCounter,
        specs: CommandSpecs,
        measure_data: Callable[[str], int],
        database: dict[str, Any],
    ) -> None:
        """
        Args:
            account: the account with the database.
            pool: connections to Valkey.
            usage: the bill.
            specs: which commands change data.
            measure_data: returns the bytes of data by the reply to INFO memory.
            database: the fields of the database that the emulator's options decide.
        """
        self.account = self._initial = account
        self._pool, self._usage, self._specs = pool, usage, specs
        self._measure_data = measure_data
        self._database = database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._respond(Request(scope, receive)))(scope, receive, send)

    def reset(self) -> None:
        """Return to the account that the emulator was started with."""
        self.account = self._initial

    async def _respond(self, request: Request) -> JSONResponse:
        account = self.account
        if account is None or not _is_authorized(request, account):
            return JSONResponse("unauthorized", 401)
        if request.method != "GET":
            return JSONResponse("Readonly API key", 403)
        path = request.url.path.removeprefix(_PREFIX)
        database = _describe_database(account) | self._database
        contents = {"databases": [database], f"database/{DATABASE_ID}": database}
        if path in contents:
            return JSONResponse(contents[path])
        if path != f"stats/{DATABASE_ID}":
            return JSONResponse("not found", 404)
        try:
            return JSONResponse(await self._read_stats(account))
        except UpstreamError as error:
            return JSONResponse(str(error), 500)

    async def _read_stats(self, account: DeveloperAccount) -> dict[str, Any]:
        async with self._pool.connection() as connection:
            report = await self._usage.report(connection)
            writes = await self._usage.count_writes(connection, self._specs.changes_data)
            (memory,) = await connection.send([(b"INFO", b"memory")])
        extra = writes * account.regions
        commands = int(str(report["billed"])) + extra
        sides = (self._usage.rest, self._usage.tcp)
        return {
            "total_monthly_requests": commands,
            "total_monthly_read_requests": max(commands - writes - extra, 0),
            "total_monthly_write_requests": writes + extra,
            "total_monthly_script_requests": 0,
            "total_monthly_bandwidth": sum(s.bytes_received + s.bytes_sent for s in sides),
            "total_monthly_billing": _compute_price(account, commands),
            "daily_net_commands": commands,
            "current_storage": self._measure_data(memory.decode()),
        }


def _is_authorized(request: Request, account: DeveloperAccount) -> bool:
    expected = base64.b64encode(f"{account.email}:{account.key}".encode())
    given = request.headers.get("authorization", "").removeprefix("Basic ")
    return secrets.compare_digest(given.encode(), expected)


def _describe_database(account: DeveloperAccount) -> dict[str, Any]:
    regions = list(_REGIONS[: account.regions])
    return {
        "database_id": DATABASE_ID,
        "database_name": "emulator",
        "region": "global",
        "primary_region": "us-east-1",
        "read_regions": regions,
        "all_members": ["us-east-1", *regions],
        "creation_time": int(time.time()),
        "type": account.plan,
        "state": "active",
        "budget": account.budget,
        "auto_upgrade": False,
        "prod_pack_enabled": False,
        "tls": False,
        "db_max_commands_per_second": 10_000,
        "db_max_entry_size": 100 * 1024 * 1024,
        "db_request_limit": 500_000 if account.plan == "free" else 2**62,
    }


def _compute_price(account: DeveloperAccount, commands: int) -> float:
    plan = account.plan
    if plan == "payg":
        return commands * _DOLLARS_PER_COMMAND
    return _FIXED_DOLLARS.get(plan, 0) * (1 + account.regions / 2)
