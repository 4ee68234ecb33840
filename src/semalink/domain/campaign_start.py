"""When a campaign may start, how long it takes, and why it may not be scheduled."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from semalink.domain.campaign_errors import (
    FinishTooSoon,
    NoRecipients,
    SendTimePassed,
    ValidityTooShort,
)
from semalink.domain.campaign_plan import Plan, Totals

PROMOTIONAL = "promotional"

#: A time that passed by less is taken for now: clocks differ, and checks take a while.
SEND_AT_TOLERANCE = timedelta(minutes=15)

#: The window is looked at in such steps when a forecast is made.
_STEP = timedelta(minutes=15)
#: A forecast beyond so many steps says no more than that it takes very long.
_STEPS_MAX = 4_000


class Hours(Protocol):
    """When promotional messages may be sent to a country."""

    def is_open(self, now: datetime, country: str) -> bool:
        """Whether one may be sent now."""
        ...

    def earliest_legal_start(self, now: datetime, country: str) -> datetime:
        """Return the first moment from now on at which one may be sent."""
        ...


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the platform brings to a forecast."""

    hours: Hours
    #: Messages a second that the platform was seen to send.
    messages_per_second: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a campaign would begin and be through."""

    start_at: datetime
    finish_at: datetime
    #: Messages a second while it sends.
    pace_per_second: int

    @property
    def seconds(self) -> int:
        """From the first message to the last, whole seconds rounded up."""
        return -((self.start_at - self.finish_at) // timedelta(seconds=1))


def earliest_start(plan: Plan, totals: Totals, now: datetime, hours: Hours) -> datetime:
    """Return when it may start: not before its time, and within the hours of every country."""
    wanted = now if plan.send_at is None else max(plan.send_at, now)
    if totals.sender_class != PROMOTIONAL or not totals.by_country:
        return wanted
    return max(hours.earliest_legal_start(wanted, country) for country in totals.by_country)


def forecast(plan: Plan, totals: Totals, now: datetime, platform: Circumstances) -> Forecast:
    """Return when it would begin and be through, at its own pace or the platform's."""
    start_at = earliest_start(plan, totals, now, platform.hours)
    pace = _pace(plan, totals, start_at, platform.messages_per_second)
    finish_at = _finish(totals, start_at, pace, platform.hours)
    return Forecast(start_at, finish_at, pace)


def decide_start(plan: Plan, totals: Totals, now: datetime, platform: Circumstances) -> datetime:
    """Return when it starts; raises why it may not be scheduled as it is."""
    if not totals.message_count:
        raise NoRecipients(is_checked=True)
    if plan.send_at is not None and plan.send_at < now - SEND_AT_TOLERANCE:
        raise SendTimePassed(plan.send_at)
    found = forecast(plan, totals, now, platform)
    if plan.finish_by is not None:
        fastest = _finish(totals, found.start_at, platform.messages_per_second, platform.hours)
        if fastest > plan.finish_by:
            raise FinishTooSoon(fastest)
    if found.seconds > plan.validity_seconds:
        raise ValidityTooShort(found.seconds)
    return found.start_at


def _pace(plan: Plan, totals: Totals, start_at: datetime, platform_rate: int) -> int:
    rate = plan.rate_per_second
    if rate is None and plan.finish_by is not None:
        seconds = (plan.finish_by - start_at) // timedelta(seconds=1)
        rate = -(-totals.message_count // max(seconds, 1))
    return platform_rate if rate is None else max(1, min(rate, platform_rate))


def _finish(totals: Totals, start_at: datetime, pace: int, hours: Hours) -> datetime:
    left = timedelta(seconds=-(-totals.message_count // pace))
    if totals.sender_class != PROMOTIONAL or not totals.by_country:
        return start_at + left
    country = _largest(totals.by_country)
    at = hours.earliest_legal_start(start_at, country)
    for _ in range(_STEPS_MAX):
        if left <= _STEP:
            break
        at, left = at + _STEP, left - _STEP
        if not hours.is_open(at, country):
            at = hours.earliest_legal_start(at, country)
    return at + left


def _largest(by_country: Mapping[str, int]) -> str:
    return min(by_country, key=lambda country: (-by_country[country], country))
