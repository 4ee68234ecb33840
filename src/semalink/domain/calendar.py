"""Business months: those of East Africa Time, in which customers, agents and finance count."""

from datetime import UTC, datetime, timedelta, timezone

#: Kenya, Uganda, Tanzania and Ethiopia keep UTC+3 all year; one rule serves every account.
BUSINESS_TIME = timezone(timedelta(hours=3), "EAT")


def month_of(at: datetime) -> str:
    """Return the month, as "2026-11", that an instant belongs to."""
    return f"{at.astimezone(BUSINESS_TIME):%Y-%m}"


def month_bounds(month: str) -> tuple[datetime, datetime]:
    """Return the first instant of a month and of the next, in UTC; ValueError for another text."""
    start = datetime.strptime(month, "%Y-%m").replace(tzinfo=BUSINESS_TIME)
    if f"{start:%Y-%m}" != month:
        msg = "Write a month as 2026-11."
        raise ValueError(msg)
    after = start.replace(day=28) + timedelta(days=4)
    return start.astimezone(UTC), after.replace(day=1).astimezone(UTC)
