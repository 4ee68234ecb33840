from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from semalink.domain.campaign_errors import (
    FinishTooSoon,
    NoRecipients,
    PaceGivenTwice,
    SendTimePassed,
    UnusedDefault,
    ValidityTooShort,
)
from semalink.domain.campaign_plan import Plan, Totals, check_plan
from semalink.domain.campaign_start import (
    SEND_AT_TOLERANCE,
    Circumstances,
    decide_start,
    forecast,
)
from semalink.domain.sending_window import ALWAYS_OPEN, SendingWindows

NOON = datetime(2026, 12, 1, 9, tzinfo=UTC)
PLAN = Plan("Offers", "ACME", "Habari {name}!", list_ids=(UUID(int=1),))
TOTALS = Totals(
    recipient_count=1_000,
    message_count=1_000,
    left_out={},
    by_network={},
    by_segments={},
    segment_count=1_000,
    price_micros=1,
    cost_micros=1,
    by_country={"KE": 900, "UG": 100},
)
PROMOTIONAL = replace(TOTALS, sender_class="promotional")
#: 08:00 to 18:00 in Nairobi is 05:00 to 15:00 in UTC.
DAYTIME = SendingWindows.from_mapping(
    {"default": {"zone": "Africa/Nairobi", "hours": "08:00-18:00"}}, ZoneInfo
)
ALWAYS = Circumstances(ALWAYS_OPEN, messages_per_second=100)
BY_DAY = Circumstances(DAYTIME, messages_per_second=100)


def test_forecast_goes_by_the_pace_of_the_platform() -> None:
    found = forecast(PLAN, TOTALS, NOON, ALWAYS)

    assert (found.start_at, found.pace_per_second, found.seconds) == (NOON, 100, 10)


def test_forecast_goes_by_the_pace_of_the_campaign_where_that_is_slower() -> None:
    slow = forecast(replace(PLAN, rate_per_second=7), TOTALS, NOON, ALWAYS)
    fast = forecast(replace(PLAN, rate_per_second=900), TOTALS, NOON, ALWAYS)

    assert (slow.pace_per_second, slow.seconds) == (7, 143)
    assert fast.pace_per_second == 100


def test_forecast_spreads_messages_until_the_time_to_finish_by() -> None:
    plan = replace(PLAN, finish_by=NOON + timedelta(seconds=500))

    found = forecast(plan, TOTALS, NOON, ALWAYS)

    assert (found.pace_per_second, found.seconds) == (2, 500)


def test_forecast_of_a_promotion_starts_when_its_hours_begin() -> None:
    night = NOON.replace(hour=20)

    found = forecast(PLAN, PROMOTIONAL, night, BY_DAY)

    assert found.start_at == datetime(2026, 12, 2, 5, tzinfo=UTC)
    assert forecast(PLAN, TOTALS, night, BY_DAY).start_at == night


def test_forecast_of_a_promotion_goes_on_the_next_day() -> None:
    plan = replace(PLAN, send_at=NOON.replace(hour=14), rate_per_second=1)
    many = replace(PROMOTIONAL, message_count=2 * 3_600)

    found = forecast(plan, many, NOON, BY_DAY)

    assert found.finish_at == datetime(2026, 12, 2, 6, tzinfo=UTC)


def test_forecast_of_something_endless_ends() -> None:
    many = replace(PROMOTIONAL, message_count=10**9)

    found = forecast(replace(PLAN, rate_per_second=1), many, NOON, BY_DAY)

    assert found.seconds > 10**8


def test_decide_start_waits_for_the_time_that_was_asked_for() -> None:
    later = NOON + timedelta(hours=3)

    assert decide_start(replace(PLAN, send_at=later), TOTALS, NOON, ALWAYS) == later
    assert decide_start(PLAN, TOTALS, NOON, ALWAYS) == NOON


def test_decide_start_takes_a_time_that_just_passed_for_now() -> None:
    plan = replace(PLAN, send_at=NOON - SEND_AT_TOLERANCE)

    assert decide_start(plan, TOTALS, NOON, ALWAYS) == NOON
    with pytest.raises(SendTimePassed):
        decide_start(plan, TOTALS, NOON + timedelta(seconds=1), ALWAYS)


def test_decide_start_refuses_to_message_nobody() -> None:
    with pytest.raises(NoRecipients):
        decide_start(PLAN, replace(TOTALS, message_count=0), NOON, ALWAYS)


def test_decide_start_refuses_a_validity_that_ends_before_the_last_message() -> None:
    assert decide_start(replace(PLAN, validity_seconds=10), TOTALS, NOON, ALWAYS) == NOON

    with pytest.raises(ValidityTooShort, match="10 s"):
        decide_start(replace(PLAN, validity_seconds=9), TOTALS, NOON, ALWAYS)


def test_decide_start_refuses_to_finish_sooner_than_it_can() -> None:
    plan = replace(PLAN, finish_by=NOON + timedelta(seconds=10))

    assert decide_start(plan, TOTALS, NOON, ALWAYS) == NOON
    with pytest.raises(FinishTooSoon, match="09:00:11"):
        decide_start(plan, TOTALS, NOON + timedelta(seconds=1), ALWAYS)


def test_check_plan_refuses_defaults_and_paces_that_contradict_the_rest() -> None:
    check_plan(replace(PLAN, defaults={"name": "customer"}))

    with pytest.raises(UnusedDefault):
        check_plan(replace(PLAN, defaults={"nam": "customer"}))
    with pytest.raises(PaceGivenTwice):
        check_plan(replace(PLAN, rate_per_second=1, finish_by=NOON))
