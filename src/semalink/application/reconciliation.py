"""Reconciling with the aggregators: by day and route, with the messages that explain a drift."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Protocol

import msgspec

from semalink.domain.reconciliation import ProviderRates, Snapshot, moves_by_day

#: Messages that are shown for one day and route.
EXPLAINED_MAX = 500
#: Messages that are looked at together.
PAGE_SIZE = 2_000


class Sent(msgspec.Struct, frozen=True):
    """Live messages that one aggregator took on one day for one destination. Money in micros."""

    day: date
    route: str
    country: str
    network: str | None
    currency: str | None
    message_count: int
    segments: int
    #: What left our accounts' credits or is reserved for it.
    billed_micros: int
    #: Messages whose cost the aggregator named, and the sum of it in its currency.
    reported_count: int
    reported_micros: int


class DayOfRoute(msgspec.Struct, frozen=True):
    """One day of one aggregator. Money in micros; the aggregator's in its own currency."""

    day: date
    route: str
    message_count: int
    segments: int
    #: In credits.
    billed_micros: int
    #: By our contract; None where no rate is set for one of the destinations.
    expected_micros: int | None
    #: What the aggregator says; None when it says nothing that can be compared.
    reported_micros: int | None
    #: "messages": it names the cost of each; "balance": by what was left there; "none"; or
    #: "currencies": the costs are in several, which cannot be added up.
    source: str
    #: Reported less expected; None when either is not known.
    drift_micros: int | None
    #: Messages whose cost it did not name, where it names any.
    unreported_count: int
    #: What we paid in, as far as the balance shows.
    topped_up_micros: int


class Suspect(msgspec.Struct, frozen=True):
    """One message that may explain a drift."""

    id: str
    country: str
    network: str | None
    segments: int
    expected_micros: int | None
    reported_micros: int | None
    #: "other_cost", "no_cost", "possible_duplicate" or "outcome_unknown".
    reason: str


class ReconciliationBook(Protocol):
    """What was sent and what was left at the aggregators."""

    async def sent(self, first: date, last: date, route: str | None) -> Sequence[Sent]:
        """Return sums by day, route, destination and currency, both days included."""
        ...

    async def snapshots(self, route: str, first: date, last: date) -> Sequence[Snapshot]:
        """Return the balances from the last one before the first day, by time."""
        ...

    async def suspects(
        self, day: date, route: str, limit: int, after: str | None
    ) -> Sequence[Suspect]:
        """Return messages of a day and route that name a cost or a doubt, by id."""
        ...


@dataclass(slots=True)
class _Sum:
    message_count: int = 0
    segments: int = 0
    billed_micros: int = 0
    expected_micros: int | None = 0
    reported_count: int = 0
    reported_micros: int = 0
    currencies: set[str] = field(default_factory=set)


class Reconciliation:
    """Compares what aggregators charged with what they should have."""

    def __init__(self, book: ReconciliationBook, rates: ProviderRates) -> None:
        self._book = book
        self._rates = rates

    async def days(self, first: date, last: date, route: str | None = None) -> list[DayOfRoute]:
        """Return each day of each route on which something was sent or paid, by day."""
        sums: dict[tuple[date, str], _Sum] = {}
        for sent in await self._book.sent(first, last, route):
            self._add(sums.setdefault((sent.day, sent.route), _Sum()), sent)
        routes = {name for _, name in sums} | ({route} if route else set(self._rates.cards))
        found: list[DayOfRoute] = []
        for name in sorted(routes):
            moves = moves_by_day(await self._book.snapshots(name, first, last))
            day = first
            while day <= last:
                total, moved = sums.get((day, name)), moves.get(day)
                if total is not None or moved is not None:
                    spent = moved.spent_micros if moved else None
                    paid_in = moved.topped_up_micros if moved else 0
                    found.append(_day_of(day, name, total or _Sum(), spent, paid_in))
                day += timedelta(days=1)
        return sorted(found, key=lambda one: (one.day, one.route))

    async def explain(self, day: date, route: str) -> list[Suspect]:
        """Return the messages of a day whose cost is not what it should be, or is in doubt."""
        explained: list[Suspect] = []
        after: str | None = None
        while page := await self._book.suspects(day, route, PAGE_SIZE, after):
            for suspect in page:
                expected = self._rates.expected_micros(
                    route, suspect.country, suspect.network, suspect.segments
                )
                is_fine = expected is None or suspect.reported_micros == expected
                if suspect.reason != "other_cost" or not is_fine:
                    explained.append(msgspec.structs.replace(suspect, expected_micros=expected))
            after = page[-1].id
            if len(explained) >= EXPLAINED_MAX:
                break
        return explained[:EXPLAINED_MAX]

    def _add(self, total: _Sum, sent: Sent) -> None:
        expected = self._rates.expected_micros(
            sent.route, sent.country, sent.network, sent.segments
        )
        total.message_count += sent.message_count
        total.segments += sent.segments
        total.billed_micros += sent.billed_micros
        total.reported_count += sent.reported_count
        total.reported_micros += sent.reported_micros
        if sent.reported_count and sent.currency is not None:
            total.currencies.add(sent.currency)
        if expected is None or total.expected_micros is None:
            total.expected_micros = None
        else:
            total.expected_micros += expected


def _day_of(
    day: date, route: str, total: _Sum, spent_micros: int | None, topped_up_micros: int
) -> DayOfRoute:
    reported: int | None
    if len(total.currencies) > 1:
        source, reported = "currencies", None
    elif total.reported_count:
        source, reported = "messages", total.reported_micros
    elif spent_micros is not None:
        source, reported = "balance", spent_micros
    else:
        source, reported = "none", None
    expected = total.expected_micros
    return DayOfRoute(
        day=day,
        route=route,
        message_count=total.message_count,
        segments=total.segments,
        billed_micros=total.billed_micros,
        expected_micros=expected,
        reported_micros=reported,
        source=source,
        drift_micros=None if expected is None or reported is None else reported - expected,
        unreported_count=total.message_count - total.reported_count if total.reported_count else 0,
        topped_up_micros=topped_up_micros,
    )
