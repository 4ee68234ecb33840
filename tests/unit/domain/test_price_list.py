import pytest

from semalink.domain.errors import UnsupportedDestination
from semalink.domain.price_list import (
    DESTINATIONS_MAX,
    OWN_TERMS,
    BelowCost,
    InvalidPriceList,
    Price,
    PriceList,
    Terms,
    price_message,
)
from semalink.domain.rate_card import RateCard

CARD = RateCard("tests", 3, {("KE", None): 800_000, ("UG", None): 900_000})


def _terms(prices: dict[str, object]) -> Terms:
    return Terms(PriceList.from_mapping(prices), "acct_1")


def test_price_message_asks_the_rate_card_of_who_pays_for_itself() -> None:
    assert price_message(CARD, OWN_TERMS, "KE", "safaricom", 2) == Price(1_600_000, None, "tests@3")


def test_price_message_sells_by_the_list_and_costs_by_the_card() -> None:
    terms = _terms({"KE": 1_000_000, "KE/safaricom": 1_100_000})
    assert terms.prices is not None
    by = f"acct_1@{terms.prices.version}"

    assert price_message(CARD, terms, "KE", "safaricom", 2) == Price(2_200_000, 1_600_000, by)
    assert price_message(CARD, terms, "KE", "airtel", 1) == Price(1_000_000, 800_000, by)
    assert price_message(CARD, terms, "KE", None, 1) == Price(1_000_000, 800_000, by)


def test_price_message_sells_at_cost_what_the_list_does_not_name() -> None:
    terms = _terms({"KE": 1_000_000})

    assert price_message(CARD, terms, "UG", None, 1) == Price(900_000, 900_000, "tests@3")


def test_price_message_refuses_what_the_card_does_not_name() -> None:
    with pytest.raises(UnsupportedDestination):
        price_message(CARD, _terms({"TZ": 1_000_000}), "TZ", None, 1)


def test_version_tells_lists_apart_and_not_the_order_of_their_lines() -> None:
    one = PriceList.from_mapping({"KE": 1, "UG": 2})
    same = PriceList.from_mapping({"UG": 2, "KE": 1})
    other = PriceList.from_mapping({"KE": 1, "UG": 3})

    assert one.version == same.version
    assert one.version != other.version


def test_below_cost_names_what_loses_money() -> None:
    prices = PriceList.from_mapping({"UG": 900_000, "KE/airtel": 1, "KE": 2, "TZ": 1})

    assert prices.below_cost(CARD) == [
        BelowCost("KE", 2, 800_000),
        BelowCost("KE/airtel", 1, 800_000),
    ]


@pytest.mark.parametrize(
    ("prices", "fault"),
    [
        ({"ke": 1}, "'ke' is no destination"),
        ({"KE/": 1}, "is no destination"),
        ({"KE/Safaricom": 1}, "is no destination"),
        ({"KEN": 1}, "is no destination"),
        ({"KE": "1"}, "KE: the price is a whole number"),
        ({"KE": True}, "whole number"),
        ({"KE": 0}, "more than nothing"),
        ({"KE": 10**12 + 1}, "more than nothing and at most"),
        (dict.fromkeys(map(str, range(DESTINATIONS_MAX + 1)), 1), "at most 1000"),
    ],
)
def test_price_list_is_refused_with_what_is_wrong(prices: dict[str, object], fault: str) -> None:
    with pytest.raises(InvalidPriceList, match=fault):
        PriceList.from_mapping(prices)
