"""What an agent's customers pay for a segment, and what a message costs whoever pays."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from semalink.domain.errors import UnsupportedDestination
from semalink.domain.rate_card import RateCard

#: An entry of a list costs at most so much a segment.
SEGMENT_MICROS_MAX = 10**12
#: A list names at most so many destinations.
DESTINATIONS_MAX = 1_000

_DESTINATION = re.compile(r"([A-Z]{2})(?:/([a-z][a-z0-9_]*))?")


class InvalidPriceList(ValueError):
    """A price list that cannot be used; the sentence says where it is wrong."""


class BelowCost(NamedTuple):
    """A destination for which an agent's customers pay less than the agent. Micros a segment."""

    destination: str
    price_micros: int
    cost_micros: int


class Price(NamedTuple):
    """What a message is sold for and what it costs, in micros."""

    price_micros: int
    #: What leaves the credits that pay; None: the price.
    cost_micros: int | None
    #: Names the prices that were applied, with their version.
    priced_by: str


@dataclass(frozen=True, slots=True)
class PriceList:
    """An agent's prices; destinations that it does not name are priced by the platform."""

    #: Micros a segment by country and network; network None is the rest of the country.
    segment_micros: Mapping[tuple[str, str | None], int]
    #: Tells one content of the list from another.
    version: str = field(default="")

    @classmethod
    def from_mapping(cls, prices: Mapping[str, object]) -> Self:
        """Read micros by "KE" or "KE/safaricom"; raises InvalidPriceList, which says where."""
        if len(prices) > DESTINATIONS_MAX:
            raise InvalidPriceList(f"A price list names at most {DESTINATIONS_MAX} destinations.")
        written = ",".join(f"{name}={prices[name]}" for name in sorted(prices))
        version = hashlib.sha256(written.encode()).hexdigest()[:12]
        return cls(dict(_read(prices)), version)

    def rate_micros(self, country: str, network: str | None) -> int | None:
        """Return the price of one segment: the network's own, else the country's, else None."""
        rate = self.segment_micros.get((country, network))
        return self.segment_micros.get((country, None)) if rate is None else rate

    def below_cost(self, card: RateCard) -> list[BelowCost]:
        """Return the destinations whose price does not cover what the agent pays."""
        found: list[BelowCost] = []
        for (country, network), price in sorted(
            self.segment_micros.items(), key=lambda one: (one[0][0], one[0][1] or "")
        ):
            try:
                cost = card.rate_micros(country, network)
            except UnsupportedDestination:
                continue
            if price < cost:
                name = country if network is None else f"{country}/{network}"
                found.append(BelowCost(name, price, cost))
        return found


@dataclass(frozen=True, slots=True)
class Terms:
    """Under whose terms an account sends."""

    #: What its agent charges it; None for an account that pays for itself.
    prices: PriceList | None = None
    #: Names the agent whose list it is, as events record it.
    priced_by: str = ""
    #: Final states that give a charge back; None: as the platform does.
    refunded_on: tuple[str, ...] | None = None


#: The terms of an account that pays for itself, by the platform's rate card and rules.
OWN_TERMS = Terms()


def price_message(
    card: RateCard, terms: Terms, country: str, network: str | None, segments: int
) -> Price:
    """Return what a message is sold for and what it costs whoever pays for it."""
    cost = card.price_micros(country, network, segments)
    prices = terms.prices
    if prices is None:
        return Price(cost, None, card.label)
    rate = prices.rate_micros(country, network)
    if rate is None:
        return Price(cost, cost, card.label)
    return Price(rate * segments, cost, f"{terms.priced_by}@{prices.version}")


def _read(prices: Mapping[str, object]) -> Iterator[tuple[tuple[str, str | None], int]]:
    for destination, price in prices.items():
        match = _DESTINATION.fullmatch(destination)
        if match is None:
            raise InvalidPriceList(
                f"{destination!r} is no destination. "
                "Write a country as KE, or a network of it as KE/safaricom."
            )
        if not isinstance(price, int) or isinstance(price, bool):
            raise InvalidPriceList(f"{destination}: the price is a whole number of micros.")
        if not 0 < price <= SEGMENT_MICROS_MAX:
            raise InvalidPriceList(
                f"{destination}: a segment costs more than nothing and at most "
                f"{SEGMENT_MICROS_MAX} micros."
            )
        yield (match[1], match[2]), price
