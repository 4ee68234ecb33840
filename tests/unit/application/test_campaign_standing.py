from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from semalink.application.campaign_standing import CampaignStanding, why_slow

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)
LONG_AGO = NOW - timedelta(minutes=11)
STANDING = CampaignStanding(
    UUID(int=1),
    UUID(int=2),
    "Offer",
    "sending",
    "live",
    start_at=LONG_AGO,
    started_at=LONG_AGO,
    changed_at=LONG_AGO,
    settled_at=None,
    message_count=1_000,
    accepted=900,
    handed_over=505,
    last_taken_at=NOW - timedelta(minutes=1),
    waiting={"held": 395},
    problem_code=None,
    as_of=NOW,
)


def test_progress_is_of_all_messages() -> None:
    assert STANDING.progress_percent == 50
    assert replace(STANDING, message_count=None).progress_percent == 0


@pytest.mark.parametrize(
    ("standing", "word"),
    [
        (replace(STANDING, waiting={"parked": 3}), "3 messages are parked"),
        (replace(STANDING, parked_pieces=2), "2 pieces of its list are parked"),
        (replace(STANDING, state="checking"), "worker content"),
        (replace(STANDING, state="scheduled"), "scheduler"),
        (replace(STANDING, last_taken_at=LONG_AGO), "five minutes"),
        (replace(STANDING, last_taken_at=None), "five minutes"),
    ],
)
def test_campaign_that_stands_still_says_where_to_look(
    standing: CampaignStanding, word: str
) -> None:
    assert word in (why_slow(standing) or "")


@pytest.mark.parametrize(
    "standing",
    [
        STANDING,
        replace(STANDING, state="draft"),
        replace(STANDING, state="scheduled", start_at=NOW + timedelta(hours=1)),
        replace(STANDING, state="scheduled", start_at=None),
    ],
)
def test_campaign_that_goes_on_says_nothing(standing: CampaignStanding) -> None:
    assert why_slow(standing) is None
