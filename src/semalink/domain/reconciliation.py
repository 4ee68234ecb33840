"""What aggregators say they charged, against what our segments should have cost."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple, Self

from semalink.domain.calendar import BUSINESS_TIME
from semalink.domain.errors import UnsupportedDestination
from semalink.domain.rate_card import InvalidRateCard, RateCard


class Snapshot(NamedTuple):
    """What was left at an aggregator at one moment, in micros of its unit."""

    taken_at: datetime
    left_micros: int


@dataclass(slots=True)
class BalanceMoves:
    """How a balance moved over a day, in micros of the aggregator's unit."""

    spent_micros: int = 0
    topped_up_micros: int = 0


@dataclass(frozen=True, slots=True)
class ProviderRates:
    """What each aggregator charges us a segment, by its contract."""

    cards: Mapping[str, RateCard]

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> Self:
        """Read a table for each aggregator; raises InvalidRateCard, which says where."""
        cards: dict[str, RateCard] = {}
        for aggregator, table in mapping.items():
            if not isinstance(table, Mapping):
                raise InvalidRateCard(f"{aggregator} must be a table with a version and prices.")
            cards[aggregator] = RateCard.from_mapping({"name": aggregator, **table})
        return cls(cards)

    def expected_micros(
        self, aggregator: str, country: str, network: str | None, segments: int
    ) -> int | None:
        """Return what so many segments should cost; None where no rate is agreed."""
        card = self.cards.get(aggregator)
        if card is None:
            return None
        try:
            return card.price_micros(country, network, segments)
        except UnsupportedDestination:
            return None


def business_day(at: datetime) -> date:
    """Return the day in East Africa Time."""
    return at.astimezone(BUSINESS_TIME).date()


def moves_by_day(snapshots: Iterable[Snapshot]) -> dict[date, BalanceMoves]:
    """Return how a balance moved on each day; snapshots come in the order of their time.

    What moved between two snapshots counts to the day of the later one. A balance that rose was
    topped up, by at least as much.
    """
    moves: dict[date, BalanceMoves] = {}
    before: Snapshot | None = None
    for snapshot in snapshots:
        if before is not None:
            day = moves.setdefault(business_day(snapshot.taken_at), BalanceMoves())
            moved_micros = snapshot.left_micros - before.left_micros
            if moved_micros < 0:
                day.spent_micros -= moved_micros
            else:
                day.topped_up_micros += moved_micros
        before = snapshot
    return moves
