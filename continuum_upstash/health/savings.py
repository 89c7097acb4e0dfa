"""What would make the bill smaller: the largest savings found in the month's statistics.

The figures are estimates. They are scaled from what was recorded to a whole month, and from the
sample to all round trips.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from continuum_upstash.documentation import link_to
from continuum_upstash.stats.bill import Bill
from continuum_upstash.stats.pricing import GIGABYTE, PRICING_PLANS, get_pricing_plan
from continuum_upstash.stats.sampling import BATCHES, OTHER, PER_FAMILY, PER_PATH
from continuum_upstash.stats.totals import Totals

GROWTH: Final = (1, 2, 5, 10)
_DOCS: Final = link_to("how-to/costs")
_MIN_SAMPLES: Final = 20  # of a family or code path, for a hint
_MIN_SHARE: Final = 0.02  # of the month's commands: smaller savings are not shown
_LOW_HIT_RATE: Final = 0.5
_GOOD_HIT_RATE: Final = 0.8
_SHORT_SECONDS: Final = 600
_LARGE_BYTES: Final = 50_000
_MIN_TRAFFIC: Final = GIGABYTE / 10  # per month
_COMPRESSED: Final = 0.3  # what zstd typically leaves of JSON and HTML
_CHATTY_SHARE: Final = 0.3  # of all commands by one code path
_SCAN_SHARE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Saving:
    """One saving.

    Attributes:
        kind: ``plan``, ``never_read``, ``short_lifetime``, ``read_loop``, ``set_loop``,
            ``large_values``, ``chatty_code``, ``scans``, ``low_hit_rate``.
        subject: the pricing plan, key family or code path.
        commands: billed commands per month that are saved; 0: none.
        dollars: what is saved per month on the current pricing plan.
        advice: what to do, in a sentence.
        docs: where it is described.
    """

    kind: str
    subject: str
    commands: int
    dollars: float
    advice: str
    docs: str


@dataclass(frozen=True, slots=True)
class Growth:
    """The cost of a month with more users.

    Attributes:
        factor: how many times the current use.
        users: so many users; None: their number is unknown.
        commands: billed commands per month.
        dollars: on the current pricing plan; None: its limits do not suffice.
        cheapest: the cheapest sufficient pricing plan.
        cheapest_dollars: its price.
    """

    factor: int
    users: int | None
    commands: int
    dollars: float | None
    cheapest: str
    cheapest_dollars: float


@dataclass(frozen=True, slots=True)
class SavingsReport:
    """The cost of more users, and the largest savings.

    Attributes:
        savings: the largest one first.
        growth: one entry for each factor of GROWTH.
        sampled: how many round trips were examined; 0: families and code paths are unknown.
    """

    savings: tuple[Saving, ...]
    growth: tuple[Growth, ...]
    sampled: int

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "savings": [asdict(each) for each in self.savings],
            "growth": [asdict(each) for each in self.growth],
            "sampled": self.sampled,
        }


@dataclass(slots=True)
class _Family:
    """The samples of a key family, scaled to a month."""

    reads: int = 0
    hits: int = 0
    sets: int = 0
    read_bytes: int = 0
    set_bytes: int = 0
    timed: int = 0
    seconds: int = 0
    seen: int = 0  # reads and sets in the sample, not scaled


@dataclass(slots=True)
class _CodePath:
    """The samples of a code path, scaled to a month."""

    billed: int = 0
    repeated_reads: int = 0
    repeated_sets: int = 0
    seen: int = 0  # commands in the sample, not scaled


@dataclass(slots=True)
class _Use:
    """What was recorded, scaled to a month."""

    bill: Bill
    month: Totals
    families: dict[str, _Family] = field(default_factory=dict)
    paths: dict[str, _CodePath] = field(default_factory=dict)

    def price(self, commands: float, *, are_writes: bool = False) -> tuple[int, float]:
        """Return commands as they are billed, and their dollars on the current pricing plan."""
        billed = commands * (1 + self.bill.regions if are_writes else 1)
        plan = get_pricing_plan(self.bill.plan)
        return round(billed), round(plan.cost_of(round(billed)), 2)


def find_savings(bill: Bill, month: Totals, users: int | None = None) -> SavingsReport:
    """Return the report about one alias.

    Args:
        bill: of its database.
        month: its totals.
        users: the number of users per month, for the table of growth; None: unknown.
    """
    use = _scale(bill, month)
    found = [] if bill.is_early else [*_find_all(use)]
    least = _MIN_SHARE * bill.projected
    large = [each for each in found if not 0 < each.commands < least or each.dollars >= 1]
    savings = sorted(large, key=lambda each: (-each.dollars, -each.commands))
    growth = () if bill.is_early else tuple(_make_growth(bill, users))
    return SavingsReport(tuple(savings), growth, month.samples.get(BATCHES, 0))


def find_cheapest_plan(bill: Bill) -> Bill:
    """Return the bill on the cheapest sufficient pricing plan."""
    bills = [bill.on_plan(name) for name in PRICING_PLANS]
    sufficient = [each for each in bills if each.is_sufficient]
    return min(sufficient or bills, key=lambda each: (each.dollars, each.plan != bill.plan))


def _make_growth(bill: Bill, users: int | None) -> Iterator[Growth]:
    for factor in GROWTH:
        grown = bill.grow(factor)
        cheapest = find_cheapest_plan(grown)
        yield Growth(
            factor,
            None if users is None else users * factor,
            grown.projected,
            grown.dollars if grown.is_sufficient else None,
            cheapest.plan,
            cheapest.dollars,
        )


def _find_all(use: _Use) -> Iterator[Saving]:
    yield from _find_plan(use)
    for name, family in use.families.items():
        if family.seen >= _MIN_SAMPLES and not name.startswith("("):
            yield from _examine_family(use, name, family)
    for name, path in use.paths.items():
        if path.seen >= _MIN_SAMPLES and not name.startswith("("):
            yield from _examine_path(use, name, path)
    yield from _examine_totals(use)


def _find_plan(use: _Use) -> Iterator[Saving]:
    bill, cheapest = use.bill, find_cheapest_plan(use.bill)
    if cheapest.plan != bill.plan and cheapest.dollars < bill.dollars and cheapest.is_sufficient:
        advice = (
            f"The pricing plan {cheapest.plan} costs ${cheapest.dollars:,.2f} for the same use, "
            f"instead of ${bill.dollars:,.2f}."
        )
        dollars = round(bill.dollars - cheapest.dollars, 2)
        yield Saving("plan", cheapest.plan, 0, dollars, advice, f"{_DOCS}#pricing-plans")


def _examine_family(use: _Use, name: str, family: _Family) -> Iterator[Saving]:
    if family.sets and not family.reads:
        advice = f"The keys {name}… are stored but never read: do not store them."
        commands, dollars = use.price(family.sets, are_writes=True)
        yield Saving("never_read", name, commands, dollars, advice, f"{_DOCS}#never-read")
        return
    hit_rate = family.hits / family.reads if family.reads else 1.0
    lifetime = family.seconds / family.timed if family.timed else 0
    if family.sets and hit_rate < _LOW_HIT_RATE and 0 < lifetime < _SHORT_SECONDS:
        advice = (
            f"{hit_rate * 100:.0f} % of the reads of {name}… find a value, which lives "
            f"{lifetime:,.0f} s: a longer timeout, for example {lifetime * 10:,.0f} s, makes fewer "
            "values expire before they are read."
        )
        avoided = min(family.sets, (_GOOD_HIT_RATE - hit_rate) * family.reads)
        commands, dollars = use.price(avoided, are_writes=True)
        yield Saving("short_lifetime", name, commands, dollars, advice, f"{_DOCS}#short-lifetimes")
    stored = family.hits + family.sets
    size = (family.read_bytes + family.set_bytes) / stored if stored else 0
    if size > _LARGE_BYTES:
        sent = (family.read_bytes + family.set_bytes) * (1 - _COMPRESSED)
        plan = get_pricing_plan(use.bill.plan)
        beyond = max(0.0, use.bill.traffic - plan.traffic_gb * GIGABYTE)
        dollars = round(min(sent, beyond) / GIGABYTE * plan.dollars_per_gb_sent, 2)
        advice = (
            f"The values of {name}… have {size / 1000:,.0f} kB on average, {sent / GIGABYTE:,.2f} "
            "GB of traffic a month that COMPRESS_MIN_BYTES would save; or store less."
        )
        if sent > _MIN_TRAFFIC:
            yield Saving("large_values", name, 0, dollars, advice, f"{_DOCS}#large-values")


def _examine_path(use: _Use, name: str, path: _CodePath) -> Iterator[Saving]:
    if path.repeated_reads:
        advice = f"{name} reads keys one after another: read them with one get_many."
        commands, dollars = use.price(path.repeated_reads)
        yield Saving("read_loop", name, commands, dollars, advice, f"{_DOCS}#loops")
    if path.repeated_sets:
        advice = (
            f"{name} stores keys one after another: set_many needs one request instead of one for "
            "each key; a dict in one key also needs one command."
        )
        commands, dollars = use.price(path.repeated_sets, are_writes=True)
        yield Saving("set_loop", name, commands, dollars, advice, f"{_DOCS}#loops")
    share = path.billed / use.bill.projected if use.bill.projected else 0
    if share > _CHATTY_SHARE and not (path.repeated_reads or path.repeated_sets):
        advice = (
            f"{name} sends {share * 100:.0f} % of all commands: keep its result for the request, "
            "in the near cache, or in fewer keys."
        )
        commands, dollars = use.price(path.billed / 2)
        yield Saving("chatty_code", name, commands, dollars, advice, f"{_DOCS}#chatty-code")


def _examine_totals(use: _Use) -> Iterator[Saving]:
    month, growth = use.month, _get_growth(use.bill)
    scans = month.commands.get("SCAN", 0)
    if scans > _SCAN_SHARE * max(month.all_billed, 1):
        advice = (
            "delete_pattern, keys and clear read all keys of the database: delete_tags deletes "
            "many values with one command."
        )
        commands, dollars = use.price(scans * growth)
        yield Saving("scans", "SCAN", commands, dollars, advice, f"{_DOCS}#scans")
    hit_rate = month.hit_rate
    known = any(not each.startswith("(") for each in use.families)
    if hit_rate is not None and hit_rate < _LOW_HIT_RATE and month.sets and not known:
        advice = (
            f"{hit_rate * 100:.0f} % of the reads find a value: raise the timeouts. SAMPLE shows "
            "for which keys."
        )
        reads = month.hits + month.misses
        avoided = min(month.sets, (_GOOD_HIT_RATE - hit_rate) * reads) * growth
        commands, dollars = use.price(avoided, are_writes=True)
        yield Saving(
            "low_hit_rate", "all keys", commands, dollars, advice, f"{_DOCS}#short-lifetimes"
        )


def _get_growth(bill: Bill) -> float:
    """Return how many times the recorded commands the month will have."""
    return bill.projected / bill.commands if bill.commands else 1.0


def _scale(bill: Bill, month: Totals) -> _Use:
    use = _Use(bill, month)
    sampled = month.samples.get(BATCHES, 0)
    factor = month.batches / sampled * _get_growth(bill) if sampled else 0.0
    _add_samples(use, month.samples, factor)
    return use


def _add_samples(use: _Use, samples: Mapping[str, int], factor: float) -> None:
    for name, count in samples.items():
        measure, _, subject = name.partition(" ")
        if not subject or subject == OTHER:
            continue
        if measure in PER_PATH:
            entry: _Family | _CodePath = use.paths.setdefault(subject, _CodePath())
        elif measure in PER_FAMILY:
            entry = use.families.setdefault(subject, _Family())
        else:
            continue
        setattr(entry, measure, round(count * factor))
        if measure in {"reads", "sets", "billed"}:
            entry.seen += count
