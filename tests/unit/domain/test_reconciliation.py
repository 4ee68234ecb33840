from datetime import UTC, date, datetime, timedelta

import pytest

from semalink.domain.rate_card import InvalidRateCard
from semalink.domain.reconciliation import ProviderRates, Snapshot, moves_by_day

NOON = datetime(2026, 11, 24, 9, tzinfo=UTC)
DAY = date(2026, 11, 24)
RATES = ProviderRates.from_mapping(
    {"celcom": {"version": 1, "prices": {"KE": {"default": "0.60", "telkom": "0.70"}}}}
)


def snapshots(*left_micros: int) -> list[Snapshot]:
    return [Snapshot(NOON + timedelta(minutes=10 * n), left) for n, left in enumerate(left_micros)]


def test_moves_sum_what_was_spent_between_snapshots() -> None:
    moves = moves_by_day(snapshots(100, 90, 90, 70))

    assert moves[DAY].spent_micros == 30
    assert moves[DAY].topped_up_micros == 0


def test_moves_tell_what_was_paid_in_apart_from_what_was_spent() -> None:
    moves = moves_by_day(snapshots(100, 80, 580, 570))

    assert (moves[DAY].spent_micros, moves[DAY].topped_up_micros) == (30, 500)


def test_moves_over_midnight_count_to_the_later_day() -> None:
    evening = datetime(2026, 11, 24, 20, 55, tzinfo=UTC)

    moves = moves_by_day([Snapshot(evening, 50), Snapshot(evening + timedelta(minutes=10), 45)])

    assert list(moves) == [date(2026, 11, 25)]


def test_moves_need_two_snapshots() -> None:
    assert moves_by_day(snapshots(100)) == {}
    assert moves_by_day([]) == {}


@pytest.mark.parametrize(
    ("aggregator", "country", "network", "expected_micros"),
    [
        ("celcom", "KE", "safaricom", 1_200_000),
        ("celcom", "KE", "telkom", 1_400_000),
        ("celcom", "UG", None, None),
        ("africastalking", "KE", None, None),
    ],
)
def test_expected_goes_by_the_contract(
    aggregator: str, country: str, network: str | None, expected_micros: int | None
) -> None:
    assert RATES.expected_micros(aggregator, country, network, 2) == expected_micros


@pytest.mark.parametrize(
    ("mapping", "where"),
    [({"celcom": 1}, "celcom must be a table"), ({"celcom": {"version": 1}}, "prices")],
)
def test_rates_that_cannot_be_used_say_where(mapping: dict[str, object], where: str) -> None:
    with pytest.raises(InvalidRateCard, match=where):
        ProviderRates.from_mapping(mapping)
