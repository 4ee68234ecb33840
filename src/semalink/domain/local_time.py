"""Times that people write by the clock on their wall, understood in a time zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from semalink.domain.campaign_errors import InvalidLocalTime, UnknownTimeZone

_FIRST_YEAR = 2000
_LAST_YEAR = 2200


def find_zone(name: str) -> ZoneInfo:
    """Return the zone of an IANA name; raises UnknownTimeZone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UnknownTimeZone from None


def read_moment(text: str, zone: ZoneInfo, field: str) -> datetime:
    """Return the moment that an ISO 8601 text means, in UTC; without an offset, in the zone.

    Raises InvalidLocalTime for a time that clocks of the zone never show, or show twice.
    """
    try:
        written = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidLocalTime(
            field, "This is no time. Write it as 2026-12-01T09:00 or 2026-12-01T09:00:00+03:00."
        ) from None
    if not _FIRST_YEAR <= written.year < _LAST_YEAR:
        raise InvalidLocalTime(field, "The year is out of reach.")
    if written.tzinfo is not None:
        return written.astimezone(UTC)
    first, second = (written.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        # In a gap, clocks jump over the time; in a fold they show it twice.
        shown = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
        if shown != written:
            raise InvalidLocalTime(
                field,
                f"Clocks in {zone.key} jump over {text}, so that nobody knows when it is. Give "
                "another time, or one with its offset.",
            )
        raise InvalidLocalTime(
            field,
            f"Clocks in {zone.key} show {text} twice. Say which one is meant by its offset, as "
            f"{text}{_offset(first)} or {text}{_offset(second)}.",
        )
    return first.astimezone(UTC)


def _offset(moment: datetime) -> str:
    offset = moment.utcoffset() or timedelta()
    sign = "-" if offset < timedelta() else "+"
    hours, minutes = divmod(abs(offset) // timedelta(minutes=1), 60)
    return f"{sign}{hours:02}:{minutes:02}"
