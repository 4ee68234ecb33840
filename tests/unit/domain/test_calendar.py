from datetime import UTC, datetime, timedelta

import pytest

from semalink.domain.calendar import month_bounds, month_of


@pytest.mark.parametrize(
    ("at", "month"),
    [
        (datetime(2026, 11, 30, 20, 59, 59, tzinfo=UTC), "2026-11"),
        (datetime(2026, 11, 30, 21, tzinfo=UTC), "2026-12"),
        (datetime(2026, 12, 31, 21, tzinfo=UTC), "2027-01"),
    ],
)
def test_month_of_goes_by_east_africa_time(at: datetime, month: str) -> None:
    assert month_of(at) == month


@pytest.mark.parametrize("month", ["2026-02", "2028-02", "2026-11", "2026-12"])
def test_month_bounds_hold_the_month_and_nothing_else(month: str) -> None:
    start, end = month_bounds(month)

    assert month_of(start) == month_of(end - timedelta(microseconds=1)) == month
    assert month_of(start - timedelta(microseconds=1)) < month < month_of(end)
    assert start.tzinfo is UTC


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "11-2026", "", "2026-11-01"])
def test_month_bounds_refuses_what_is_no_month(text: str) -> None:
    with pytest.raises(ValueError, match="Write a month"):
        month_bounds(text)
