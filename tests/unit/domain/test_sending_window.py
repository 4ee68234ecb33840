from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from semalink.domain.sending_window import (
    ALWAYS_OPEN,
    InvalidSendingWindows,
    SendingWindows,
)

#: Monday.
MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
USUAL = {"default": {"zone": "Africa/Nairobi", "hours": "08:00-18:00"}}


def at(days: int, hours: int, minutes: int = 0) -> datetime:
    return MONDAY + timedelta(days=days, hours=hours, minutes=minutes)


def windows(**countries: Any) -> SendingWindows:
    return SendingWindows.from_mapping({**USUAL, **countries}, ZoneInfo)


# Nairobi is three hours ahead of UTC all year.
@pytest.mark.parametrize(
    ("now", "is_open", "earliest"),
    [
        (at(0, 4, 59), False, at(0, 5)),
        (at(0, 5), True, at(0, 5)),
        (at(0, 14, 59), True, at(0, 14, 59)),
        (at(0, 15), False, at(1, 5)),
        # In Nairobi it is tomorrow already.
        (at(0, 21, 30), False, at(1, 5)),
        (at(0, 20, 59), False, at(1, 5)),
    ],
)
def test_window_is_open_by_the_clock_of_the_zone(
    now: datetime, earliest: datetime, *, is_open: bool
) -> None:
    rules = windows()

    assert rules.is_open(now, "KE") is is_open
    assert rules.earliest_legal_start(now, "KE") == earliest


def test_window_of_a_country_counts_before_that_of_all() -> None:
    rules = windows(RW={"zone": "Africa/Kigali", "hours": "09:00-12:00"})

    assert rules.earliest_legal_start(at(0, 1), "RW") == at(0, 7)
    assert rules.earliest_legal_start(at(0, 1), "UG") == at(0, 5)


def test_window_of_a_weekday_counts_before_that_of_all_days() -> None:
    rules = windows(
        KE={
            "zone": "Africa/Nairobi",
            "hours": "08:00-18:00",
            "saturday": "09:00-13:00",
            "sunday": "closed",
        }
    )

    assert rules.earliest_legal_start(at(5, 5, 30), "KE") == at(5, 6)
    assert rules.earliest_legal_start(at(5, 10), "KE") == at(7, 5)


def test_window_until_midnight_closes_with_the_day() -> None:
    rules = windows(KE={"zone": "UTC", "hours": "08:00-24:00"})

    assert rules.is_open(at(0, 23, 59), "KE")
    assert not rules.is_open(at(1, 0), "KE")


def test_window_opens_by_the_wall_where_clocks_are_shifted() -> None:
    rules = windows(DE={"zone": "Europe/Berlin", "hours": "08:00-18:00"})
    evening = datetime(2026, 3, 28, 20, tzinfo=UTC)

    assert rules.earliest_legal_start(evening, "DE") == datetime(2026, 3, 29, 6, tzinfo=UTC)


def test_window_that_opens_once_a_week_is_found() -> None:
    closed = dict.fromkeys(("monday", "tuesday", "wednesday", "thursday", "friday"), "closed")
    rules = windows(KE={"zone": "UTC", "hours": "10:00-11:00", "saturday": "closed", **closed})

    assert rules.earliest_legal_start(at(6, 12), "KE") == at(13, 10)


def test_always_open_is_never_closed() -> None:
    assert all(ALWAYS_OPEN.is_open(at(0, hour), "KE") for hour in range(24))
    assert ALWAYS_OPEN.closes_at(at(0, 3), "KE") is None


@pytest.mark.parametrize(
    ("now", "closes"),
    [
        (at(0, 5), at(0, 15)),
        (at(0, 14, 59), at(0, 15)),
        # It is closed already.
        (at(0, 15), at(0, 15)),
        (at(0, 3), at(0, 3)),
    ],
)
def test_closes_at_is_the_end_of_the_hours_of_the_day(now: datetime, closes: datetime) -> None:
    assert windows().closes_at(now, "KE") == closes


def test_closes_at_passes_over_midnight_where_the_next_day_goes_on() -> None:
    rules = windows(KE={"zone": "UTC", "hours": "00:00-24:00", "thursday": "00:00-09:00"})
    weekend = windows(KE={"zone": "UTC", "hours": "00:00-24:00", "saturday": "closed"})

    assert rules.closes_at(at(0, 10), "KE") == at(3, 9)
    assert weekend.closes_at(at(6, 1), "KE") == at(12, 0)


@pytest.mark.parametrize(
    ("day", "closes"),
    [
        # From 02:00 the clock leaps to 03:00, and from 03:00 it goes back to 02:00.
        (datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC)),
        (datetime(2026, 10, 25, tzinfo=UTC), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ],
)
def test_closes_at_is_by_the_wall_where_clocks_are_shifted(day: datetime, closes: datetime) -> None:
    rules = windows(DE={"zone": "Europe/Berlin", "hours": "00:00-02:30"})

    assert rules.closes_at(day, "DE") == closes


@pytest.mark.parametrize(
    ("mapping", "word"),
    [
        ({}, "[default]"),
        ({"kenya": {}}, "[kenya]"),
        ({**USUAL, "KE": "08:00-18:00"}, "[KE]"),
        ({**USUAL, "KE": {"zone": "UTC", "hours": "08:00-18:00", "holiday": "closed"}}, "[KE]"),
        ({**USUAL, "KE": {"zone": "UTC"}}, "KE.hours"),
        ({**USUAL, "KE": {"zone": "UTC", "hours": "8-18"}}, "KE.hours"),
        ({**USUAL, "KE": {"zone": "UTC", "hours": "18:00-08:00"}}, "KE.hours"),
        ({**USUAL, "KE": {"zone": "UTC", "hours": "08:00-24:30"}}, "KE.hours"),
        ({**USUAL, "KE": {"zone": "UTC", "hours": "closed"}}, "never open"),
        ({**USUAL, "KE": {"zone": "Nairobi", "hours": "08:00-18:00"}}, "KE.zone"),
        ({**USUAL, "KE": {"zone": 3, "hours": "08:00-18:00"}}, "KE.zone"),
    ],
)
def test_from_mapping_says_where_windows_are_wrong(mapping: Any, word: str) -> None:
    with pytest.raises(InvalidSendingWindows) as refused:
        SendingWindows.from_mapping(mapping, ZoneInfo)

    assert word in str(refused.value)
