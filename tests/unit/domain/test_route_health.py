from collections.abc import Sequence
from datetime import timedelta

import pytest

from semalink.domain.route_health import (
    EVERY_NETWORK,
    Diagnosis,
    Figures,
    Tally,
    TripCause,
    diagnose,
    is_route_fault,
    is_stalled,
    measure,
    pause_before_probe,
    trip_cause,
)

NOW = 1_000_000


def ago(seconds: int, attempts: int, errors: int, network: str = EVERY_NETWORK) -> Tally:
    return Tally(NOW - seconds, network, attempts, errors)


@pytest.mark.parametrize(
    ("result", "is_fault"),
    [
        ("accepted", False),
        ("recipient", False),
        ("opted_out", False),
        ("window", False),
        ("content", False),
        ("route", False),
        ("held", False),
        ("sender", False),
        ("transient", True),
        ("provider_credit", True),
        ("configuration", True),
        ("bug", True),
        ("unknown", True),
    ],
)
def test_only_what_the_route_is_to_blame_for_speaks_against_it(
    result: str, *, is_fault: bool
) -> None:
    assert is_route_fault(result) is is_fault


@pytest.mark.parametrize(
    ("tallies", "figures"),
    [
        ([], Figures()),
        ([ago(0, 5, 1), ago(59, 5, 2)], Figures(10, 3, 0)),
        ([ago(60, 5, 5)], Figures()),
        # Two networks in one second: one success there ends the row.
        ([ago(1, 5, 5, "airtel"), ago(1, 1, 0, "safaricom"), ago(0, 3, 3)], Figures(9, 8, 3)),
        ([ago(2, 9, 0), ago(1, 4, 4), ago(0, 2, 2)], Figures(15, 6, 6)),
    ],
)
def test_measure_adds_up_the_last_minute(tallies: Sequence[Tally], figures: Figures) -> None:
    assert measure(tallies, now_second=NOW) == figures


def test_measure_forgets_what_was_before_a_recovery() -> None:
    tallies = [ago(9, 4, 4, "airtel"), ago(9, 2, 1, "safaricom"), ago(1, 1, 0, "airtel")]

    assert measure(tallies, now_second=NOW, since={"airtel": NOW - 5}) == Figures(3, 1, 0)
    assert measure(tallies, now_second=NOW, since={EVERY_NETWORK: NOW - 5}) == Figures(1, 0, 0)


@pytest.mark.parametrize(
    ("figures", "cause"),
    [
        (Figures(19, 9, 9), None),
        (Figures(20, 3, 0), None),
        (Figures(20, 4, 0), TripCause.ERROR_RATE),
        (Figures(6000, 1199, 9), None),
        (Figures(6000, 1200, 0), TripCause.ERROR_RATE),
        (Figures(10, 10, 10), TripCause.OUTAGE),
        (Figures(6000, 10, 10), TripCause.OUTAGE),
    ],
)
def test_trip_at_a_fifth_of_twenty_or_ten_in_a_row(
    figures: Figures, cause: TripCause | None
) -> None:
    assert trip_cause(figures) == cause


def test_error_permille_of_nothing_is_nothing() -> None:
    assert Figures().error_permille == 0
    assert Figures(3, 1).error_permille == 333


def test_diagnose_trips_a_network_alone_where_the_others_do_well() -> None:
    tallies = [ago(1, 40, 30, "airtel"), ago(1, 60, 1, "safaricom")]

    diagnoses = diagnose(tallies, now_second=NOW, since={})

    assert diagnoses == [Diagnosis("airtel", TripCause.ERROR_RATE, Figures(40, 30, 0))]


def test_diagnose_trips_a_network_that_hardly_shows_in_the_whole() -> None:
    tallies = [ago(1, 20, 20, "airtel"), ago(1, 900, 0, "safaricom")]

    diagnoses = diagnose(tallies, now_second=NOW, since={})

    assert diagnoses == [Diagnosis("airtel", TripCause.OUTAGE, Figures(20, 20, 20))]


def test_diagnose_trips_the_route_when_every_network_fails() -> None:
    tallies = [ago(1, 40, 40, "airtel"), ago(1, 60, 60, "safaricom")]

    diagnoses = diagnose(tallies, now_second=NOW, since={})

    assert diagnoses == [Diagnosis(EVERY_NETWORK, TripCause.OUTAGE, Figures(100, 100, 100))]


def test_diagnose_trips_the_route_when_too_little_is_known_of_the_others() -> None:
    tallies = [ago(1, 40, 40, "airtel"), ago(1, 3, 0, "safaricom")]

    diagnoses = diagnose(tallies, now_second=NOW, since={})

    assert diagnoses == [Diagnosis(EVERY_NETWORK, TripCause.ERROR_RATE, Figures(43, 40, 0))]


def test_diagnose_leaves_alone_what_rests_already() -> None:
    tallies = [ago(1, 40, 40, "airtel"), ago(1, 60, 0, "safaricom")]

    assert diagnose(tallies, now_second=NOW, since={}, resting={"airtel"}) == []
    assert diagnose(tallies, now_second=NOW, since={}, resting={EVERY_NETWORK}) == []
    assert diagnose([ago(1, 50, 1)], now_second=NOW, since={}) == []


@pytest.mark.parametrize(
    ("trips_in_a_row", "seconds"),
    [(0, 15), (1, 15), (2, 30), (3, 60), (4, 120), (5, 240), (6, 300), (999, 300)],
)
def test_pause_before_a_probe_doubles_up_to_five_minutes(trips_in_a_row: int, seconds: int) -> None:
    assert pause_before_probe(trips_in_a_row) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("submitted", "unreported", "stalled"),
    [(19, 19, False), (20, 9, False), (20, 10, True), (1000, 499, False), (1000, 500, True)],
)
def test_stall_is_half_of_twenty_without_a_final_report(
    submitted: int, unreported: int, *, stalled: bool
) -> None:
    assert is_stalled(submitted, unreported) is stalled
