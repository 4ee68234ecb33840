from datetime import UTC, datetime

import pytest

from semalink.domain.campaign_errors import InvalidLocalTime, UnknownTimeZone
from semalink.domain.local_time import find_zone, read_moment

BERLIN = find_zone("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2026-12-01T09:00", "Africa/Nairobi", datetime(2026, 12, 1, 6, tzinfo=UTC)),
        ("2026-12-01T09:00:30", "UTC", datetime(2026, 12, 1, 9, 0, 30, tzinfo=UTC)),
        ("2026-12-01T09:00+01:00", "Africa/Nairobi", datetime(2026, 12, 1, 8, tzinfo=UTC)),
        ("2026-12-01T09:00Z", "Africa/Nairobi", datetime(2026, 12, 1, 9, tzinfo=UTC)),
        ("2026-07-01T09:00", "Europe/Berlin", datetime(2026, 7, 1, 7, tzinfo=UTC)),
        ("2026-12-01T09:00", "Europe/Berlin", datetime(2026, 12, 1, 8, tzinfo=UTC)),
    ],
)
def test_read_moment_understands_a_time_in_its_zone(text: str, zone: str, moment: datetime) -> None:
    assert read_moment(text, find_zone(zone), "send_at") == moment


def test_read_moment_refuses_a_time_that_clocks_jump_over() -> None:
    with pytest.raises(InvalidLocalTime, match="jump over") as refused:
        read_moment("2026-03-29T02:30", BERLIN, "send_at")

    assert refused.value.pointer == "/send_at"


def test_read_moment_refuses_a_time_that_clocks_show_twice_and_says_which_there_are() -> None:
    with pytest.raises(InvalidLocalTime, match="twice") as refused:
        read_moment("2026-10-25T02:30", BERLIN, "finish_by")

    assert "2026-10-25T02:30+02:00" in str(refused.value)
    assert "2026-10-25T02:30+01:00" in str(refused.value)
    assert read_moment("2026-10-25T02:30+01:00", BERLIN, "finish_by").hour == 1


def test_read_moment_writes_offsets_west_of_greenwich_with_a_minus() -> None:
    with pytest.raises(InvalidLocalTime, match="-04:00"):
        read_moment("2026-11-01T01:30", find_zone("America/New_York"), "send_at")


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "2026-13-01T09:00", "1999-12-31T09:00", "9999-01-01"]
)
def test_read_moment_refuses_what_is_no_time(text: str) -> None:
    with pytest.raises(InvalidLocalTime):
        read_moment(text, BERLIN, "send_at")


@pytest.mark.parametrize("name", ["", "Nairobi", "Africa", "../etc/passwd", "/etc/passwd", "a\0b"])
def test_find_zone_refuses_what_is_no_zone(name: str) -> None:
    with pytest.raises(UnknownTimeZone):
        find_zone(name)
