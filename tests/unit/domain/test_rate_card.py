import tomllib
from importlib.resources import files

import pytest

from semalink.domain.errors import UnsupportedDestination
from semalink.domain.rate_card import InvalidRateCard, RateCard

CARD = RateCard.from_mapping(
    {
        "name": "standard",
        "version": 3,
        "prices": {"KE": {"default": "0.80", "telkom": "1.00"}, "UG": {"mtn": "0.0075"}},
    }
)


def test_from_mapping_keeps_the_name_and_the_version() -> None:
    card = CARD

    assert (card.name, card.version) == ("standard", 3)


@pytest.mark.parametrize(
    ("country", "network", "segments", "price_micros"),
    [
        ("KE", "safaricom", 1, 800_000),
        ("KE", None, 2, 1_600_000),
        ("KE", "telkom", 3, 3_000_000),
        ("UG", "mtn", 1, 7_500),
    ],
)
def test_price_takes_the_network_before_the_country(
    country: str, network: str | None, segments: int, price_micros: int
) -> None:
    price = CARD.price_micros(country, network, segments)

    assert price == price_micros


@pytest.mark.parametrize(
    ("country", "network"), [("TZ", "vodacom"), ("UG", "airtel"), ("UG", None)]
)
def test_price_refuses_a_destination_when_the_card_has_none(
    country: str, network: str | None
) -> None:
    with pytest.raises(UnsupportedDestination) as refused:
        CARD.price_micros(country, network, 1)

    assert refused.value.country == country


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"currency": "KES"}, "'currency' is not a setting"),
        ({"name": ""}, "name must be"),
        ({"name": 5}, "name must be"),
        ({"version": 0}, "version must be"),
        ({"version": True}, "version must be"),
        ({"version": "1"}, "version must be"),
        ({"prices": {}}, "at least one country"),
        ({"prices": None}, "at least one country"),
        ({"prices": {"Kenya": {"default": "1"}}}, "prices.Kenya is not a country code"),
        ({"prices": {1: {"default": "1"}}}, "prices.1 is not a country code"),
        ({"prices": {"KE": "0.80"}}, "prices.KE must be a table"),
        ({"prices": {"KE": {}}}, "prices.KE must be a table"),
        ({"prices": {"KE": {"MTN": "1"}}}, "prices.KE.MTN is not a network"),
        ({"prices": {"KE": {7: "1"}}}, "prices.KE.7 is not a network"),
        ({"prices": {"KE": {"default": 0.8}}}, "prices.KE.default must stand in quotes"),
        ({"prices": {"KE": {"default": "a lot"}}}, "prices.KE.default: Write an amount"),
        ({"prices": {"KE": {"default": "0.00"}}}, "prices.KE.default must be more than nothing"),
        ({"prices": {"KE": {"default": "-1"}}}, "prices.KE.default must be more than nothing"),
    ],
)
def test_from_mapping_says_where_the_fault_is(change: dict[str, object], fault: str) -> None:
    mapping = {"name": "standard", "version": 1, "prices": {"KE": {"default": "1"}}} | change

    with pytest.raises(InvalidRateCard, match=fault) as refused:
        RateCard.from_mapping(mapping)

    assert str(refused.value).startswith("rate card: ")


def test_default_card_prices_every_country_of_east_africa() -> None:
    mapping = tomllib.loads(files("semalink_ops").joinpath("rate_card.toml").read_text("utf-8"))

    card = RateCard.from_mapping(mapping)

    assert card.price_micros("KE", "safaricom", 1) == 800_000
    assert all(card.price_micros(country, None, 1) > 0 for country in ("TZ", "UG", "RW", "ET"))
