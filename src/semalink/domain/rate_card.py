"""What a segment costs, by destination country and network."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from semalink.domain.errors import UnsupportedDestination
from semalink.domain.money import parse_credits

_COUNTRY = re.compile(r"[A-Z]{2}")
_NETWORK = re.compile(r"[a-z][a-z0-9_]*")
#: The word, in the table of a country, for every network without a price of its own.
_DEFAULT = "default"


class InvalidRateCard(ValueError):
    """A rate card that cannot be used; the sentence says where it is wrong."""

    def __init__(self, fault: str) -> None:
        super().__init__(f"rate card: {fault}")


@dataclass(frozen=True, slots=True)
class RateCard:
    """Prices of one version; events record the name and the version that priced them."""

    name: str
    version: int
    #: Micros a segment by country and network; network None is the rest of the country.
    segment_micros: Mapping[tuple[str, str | None], int]

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> Self:
        """Read a card as TOML holds it; raises InvalidRateCard, which says where."""
        unknown = sorted(mapping.keys() - {"name", "version", "prices"})
        if unknown:
            raise InvalidRateCard(f"{unknown[0]!r} is not a setting of a rate card.")
        name, version, prices = mapping.get("name"), mapping.get("version"), mapping.get("prices")
        if not isinstance(name, str) or not name:
            raise InvalidRateCard("name must be a text that is not empty.")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise InvalidRateCard("version must be a whole number from 1.")
        if not isinstance(prices, Mapping) or not prices:
            raise InvalidRateCard("prices must hold a table for at least one country.")
        return cls(name, version, dict(_read_prices(prices)))

    @property
    def label(self) -> str:
        """Name and version, as events record them."""
        return f"{self.name}@{self.version}"

    def rate_micros(self, country: str, network: str | None) -> int:
        """Return the price of one segment: the network's own, else the country's."""
        rate = self.segment_micros.get((country, network))
        if rate is None:
            rate = self.segment_micros.get((country, None))
        if rate is None:
            raise UnsupportedDestination(country)
        return rate

    def price_micros(self, country: str, network: str | None, segments: int) -> int:
        """Return the price of a message."""
        return self.rate_micros(country, network) * segments


def _read_prices(
    prices: Mapping[object, object],
) -> Iterator[tuple[tuple[str, str | None], int]]:
    for country, table in prices.items():
        if not isinstance(country, str) or not _COUNTRY.fullmatch(country):
            raise InvalidRateCard(f"prices.{country} is not a country code such as KE.")
        if not isinstance(table, Mapping) or not table:
            raise InvalidRateCard(f"prices.{country} must be a table of prices.")
        for network, price in table.items():
            if not isinstance(network, str) or not _NETWORK.fullmatch(network):
                raise InvalidRateCard(
                    f"prices.{country}.{network} is not a network; write it in lower case."
                )
            key = country, None if network == _DEFAULT else network
            yield key, _read_price(f"prices.{country}.{network}", price)


def _read_price(where: str, price: object) -> int:
    # TOML would read 0.80 without quotes as a binary fraction, which is not 0.80.
    if not isinstance(price, str):
        raise InvalidRateCard(f'{where} must stand in quotes, as "0.80".')
    try:
        micros = parse_credits(price)
    except ValueError as error:
        raise InvalidRateCard(f"{where}: {error}") from error
    if micros <= 0:
        raise InvalidRateCard(f"{where} must be more than nothing.")
    return micros
