"""Business months: those of East Africa Time, in which customers, agents and finance count."""

import re
from datetime import UTC, datetime, timedelta, timezone

#: Kenya, Uganda, Tanzania and Ethiopia keep UTC+3 all year; one rule serves every account.
BUSINESS_TIME = timezone(timedelta(hours=3), "EAT")

_MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])", re.ASCII)


def month_of(at: datetime) -> str:
    """Return the month, as "2026-11", that an instant belongs to."""
    return f"{at.astimezone(BUSINESS_TIME):%Y-%m}"


def month_bounds(month: str) -> tuple[datetime, datetime]:
    """Return the first instant of a month and of the next, in UTC; ValueError for another text."""
    if _MONTH.fullmatch(month) is None:
        msg = "Write a month as 2026-11."
        raise ValueError(msg)
    start = datetime(int(month[:4]), int(month[5:]), 1, tzinfo=BUSINESS_TIME)
    after = start.replace(day=28) + timedelta(days=4)
    return start.astimezone(UTC), after.replace(day=1).astimezone(UTC)
