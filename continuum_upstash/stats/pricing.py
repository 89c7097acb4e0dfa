"""Upstash's prices: https://upstash.com/docs/redis/overall/billing and /pricing/redis.

Read on 2026-11-09; each figure can be replaced by CONTINUUM_STATS["PRICES"].
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Final

from continuum_upstash.errors import ConfigurationError, suggest_similar
from continuum_upstash.stats.conf import DEFAULTS, get_setting

PRICES_DATE: Final = "2026-11-09"
GIGABYTE: Final = 10**9  # bytes
EXTRA_PRICES: Final[Mapping[str, float]] = MappingProxyType(
    {
        "prod_pack": 200.0,  # dollars per month and database
        "region": 0.5,  # a read region of a fixed plan, as a fraction of the plan's price
    }
)


@dataclass(frozen=True, slots=True)
class Use:
    """What a database does in a month.

    Attributes:
        commands: billed commands, including those of read regions.
        storage: size of the data in bytes.
        traffic: bytes of keys and values, sent and received.
    """

    commands: int
    storage: int = 0
    traffic: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a database has beside its pricing plan.

    Attributes:
        regions: read regions. Each write is billed once more for each of them.
        prod_pack: whether it has the Prod Pack.
    """

    regions: int = 0
    prod_pack: bool = False


@dataclass(frozen=True, slots=True)
class PricingPlan:
    """The prices and limits of one plan.

    Attributes:
        dollars: the fixed price per month.
        dollars_per_100k: the price of 100,000 commands.
        commands: the limit per month; None: unlimited.
        storage_gb: the maximum size of the data, in GB.
        traffic_gb: the traffic per month that the price includes, in GB.
        dollars_per_gb_stored: the price of a GB of data per month, beyond `free_storage_gb`.
        dollars_per_gb_sent: the price of a GB of traffic beyond `traffic_gb`; 0: it is a limit.
        commands_per_second: the limit.
        request_mb: the maximum size of a request and of a response, in MB.
        record_mb: the maximum size of a key's data, in MB.
    """

    dollars: float = 0.0
    dollars_per_100k: float = 0.0
    commands: int | None = None
    storage_gb: float = 0.25
    traffic_gb: float = 10.0
    dollars_per_gb_stored: float = 0.0
    free_storage_gb: float = 0.0
    dollars_per_gb_sent: float = 0.0
    commands_per_second: int = 10_000
    request_mb: int = 10
    record_mb: int = 100

    def cost_of(self, commands: int) -> float:
        """Return the dollars for so many commands, without the fixed price."""
        return commands * self.dollars_per_100k / 100_000

    def list_exceeded(self, use: Use) -> list[str]:
        """Return the limits that a use exceeds: ``commands``, ``storage``, ``traffic``."""
        exceeded = {
            "commands": self.commands is not None and use.commands > self.commands,
            "storage": use.storage > self.storage_gb * GIGABYTE,
            "traffic": use.traffic > self.traffic_gb * GIGABYTE and not self.dollars_per_gb_sent,
        }
        return [name for name, is_exceeded in exceeded.items() if is_exceeded]

    def list_prices(self, use: Use, terms: Terms) -> dict[str, float]:
        """Return the dollars for a month, by what they are paid for; see `Bill.prices`."""
        stored = max(0.0, use.storage / GIGABYTE - self.free_storage_gb)
        sent = max(0.0, use.traffic / GIGABYTE - self.traffic_gb)
        return {
            "plan": self.dollars,
            "commands": self.cost_of(use.commands),
            "regions": self.dollars * get_extra_price("region") * terms.regions,
            "storage": stored * self.dollars_per_gb_stored,
            "traffic": sent * self.dollars_per_gb_sent,
            "prod_pack": get_extra_price("prod_pack") if terms.prod_pack else 0.0,
        }


PRICING_PLANS: Final[Mapping[str, PricingPlan]] = MappingProxyType(
    {
        "free": PricingPlan(commands=500_000, storage_gb=0.256),
        "payg": PricingPlan(
            dollars_per_100k=0.20,
            storage_gb=100,
            traffic_gb=200,
            dollars_per_gb_stored=0.25,
            free_storage_gb=1,
            dollars_per_gb_sent=0.03,
        ),
        "250mb": PricingPlan(10, storage_gb=0.25, traffic_gb=50),
        "1gb": PricingPlan(20, storage_gb=1, traffic_gb=100, record_mb=200),
        "5gb": PricingPlan(100, storage_gb=5, traffic_gb=500, request_mb=20, record_mb=300),
        "10gb": PricingPlan(200, storage_gb=10, traffic_gb=1000, request_mb=30, record_mb=400),
        "50gb": PricingPlan(400, storage_gb=50, traffic_gb=5000, request_mb=50, record_mb=500),
        "100gb": PricingPlan(
            800,
            storage_gb=100,
            traffic_gb=10_000,
            commands_per_second=16_000,
            request_mb=75,
            record_mb=1000,
        ),
        "500gb": PricingPlan(
            1500,
            storage_gb=500,
            traffic_gb=20_000,
            commands_per_second=16_000,
            request_mb=100,
            record_mb=5000,
        ),
    }
)
WARN_RATIO: Final = 0.8  # fraction of the month's commands at which warnings begin
_PRICE_NAMES: Final = tuple(each.name for each in fields(PricingPlan))


def get_pricing_plan(name: str) -> PricingPlan:
    """Return a plan with the prices of CONTINUUM_STATS["PRICES"].

    Raises:
        ConfigurationError: PRICES is invalid.
    """
    prices = read_prices()
    return replace(PRICING_PLANS[name], **prices.get(name, {}))


def get_extra_price(name: str) -> float:
    """Return a price of EXTRA_PRICES, or that of CONTINUUM_STATS["PRICES"].

    Raises:
        ConfigurationError: PRICES is invalid.
    """
    return float(read_prices().get(name, EXTRA_PRICES[name]))


def read_prices() -> Mapping[str, Any]:
    """Return CONTINUUM_STATS["PRICES"].

    Raises:
        ConfigurationError: an entry is unknown, or is no amount.
    """
    prices = get_setting("PRICES")
    if not isinstance(prices, Mapping):
        raise ConfigurationError(
            f"CONTINUUM_STATS['PRICES'] is {prices!r}: write a dict, for example "
            "{'payg': {'dollars_per_100k': 0.2}}."
        )
    for name, entry in prices.items():
        if name in PRICING_PLANS and isinstance(entry, Mapping):
            for price, amount in entry.items():
                _check_entry(f"['PRICES'][{name!r}]", price, amount, _PRICE_NAMES)
        else:
            _check_entry("['PRICES']", name, entry, (*EXTRA_PRICES, *PRICING_PLANS))
    return prices


def _check_entry(place: str, name: object, amount: object, known: tuple[str, ...]) -> None:
    if name not in known:
        hint = suggest_similar(str(name), known) or f" Entries: {', '.join(known)}."
        raise ConfigurationError(f"CONTINUUM_STATS{place} has no entry {name}.{hint}")
    if name in PRICING_PLANS:
        raise ConfigurationError(
            f"CONTINUUM_STATS{place}[{name!r}] is {amount!r}: write a dict, for example "
            "{'dollars': 10}."
        )
    is_number = isinstance(amount, (int, float)) and not isinstance(amount, bool)
    if not is_number or not 0 <= amount < math.inf:  # type: ignore[operator]  # a number
        raise ConfigurationError(
            f"CONTINUUM_STATS{place}[{name!r}] is {amount!r}: write a number, 0 or more."
        )


def get_pricing_plan_name(alias: str) -> str:
    """Return the name of the pricing plan that CONTINUUM_STATS gives an alias.

    Raises:
        ConfigurationError: there is no such plan.
    """
    name = _get_for_alias("PLAN", alias)
    if not isinstance(name, str) or name not in PRICING_PLANS:
        raise ConfigurationError(
            f"CONTINUUM_STATS['PLAN'] is {name!r} for '{alias}': write one of "
            f"{', '.join(PRICING_PLANS)}, or a dict with one for each alias."
        )
    return name


def get_terms(alias: str) -> Terms:
    """Return what REGIONS and PROD_PACK of CONTINUUM_STATS say about an alias.

    Raises:
        ConfigurationError: one of them is invalid.
    """
    regions, prod_pack = _get_for_alias("REGIONS", alias), _get_for_alias("PROD_PACK", alias)
    if not isinstance(regions, int) or isinstance(regions, bool) or regions < 0:
        raise ConfigurationError(
            f"CONTINUUM_STATS['REGIONS'] is {regions!r} for '{alias}': write the number of read "
            "regions, or a dict with one for each alias."
        )
    if not isinstance(prod_pack, bool):
        raise ConfigurationError(
            f"CONTINUUM_STATS['PROD_PACK'] is {prod_pack!r} for '{alias}': write True or False, "
            "or a dict with one for each alias."
        )
    return Terms(regions, prod_pack)


def count_affordable(alias: str, dollars: float) -> int:
    """Return how many billed commands an amount pays for in a month, beside fixed prices.

    Raises:
        ConfigurationError: commands have no price on the alias's pricing plan, or the fixed prices
            leave nothing of the amount.
    """
    name = get_pricing_plan_name(alias)
    plan = get_pricing_plan(name)
    if not plan.dollars_per_100k:
        raise ConfigurationError(
            f"BUDGET['DOLLARS'] is {dollars:g}, but commands have no price on the pricing plan "
            f"'{name}': write BUDGET['COMMANDS'], or correct CONTINUUM_STATS['PLAN']."
        )
    fixed = sum(plan.list_prices(Use(0), get_terms(alias)).values())
    count = int((dollars - fixed) / plan.dollars_per_100k * 100_000)
    if count < 1:
        raise ConfigurationError(
            f"BUDGET['DOLLARS'] is {dollars:g}, which pays for no command on the pricing plan "
            f"'{name}': raise it, or correct CONTINUUM_STATS."
        )
    return count


def _get_for_alias(name: str, alias: str) -> Any:
    setting = get_setting(name)
    return setting.get(alias, DEFAULTS[name]) if isinstance(setting, Mapping) else setting
