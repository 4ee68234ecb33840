"""When promotional messages may be sent: hours of the day by weekday, in the country's zone."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self

#: Answers with the zone of an IANA name; raises KeyError or ValueError when there is none.
ZoneOf = Callable[[str], tzinfo]

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_COUNTRY = re.compile(r"[A-Z]{2}|default")
_HOURS = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_CLOSED = "closed"
_DAY_MINUTES = 24 * 60
#: A day that was open a week ago is open again, even where a shift of clocks cut it short once.
_DAYS_AHEAD = 15
_A_MINUTE = timedelta(minutes=1)


class InvalidSendingWindows(ValueError):
    """Sending windows that cannot be used; the sentence says where they are wrong."""

    def __init__(self, fault: str) -> None:
        super().__init__(f"sending windows: {fault}")


@dataclass(frozen=True, slots=True)
class Window:
    """The hours of one country."""

    zone: tzinfo
    #: Minutes of the local day from which and before which it is open, Monday first; None: closed.
    days: tuple[tuple[int, int] | None, ...]

    def is_open(self, now: datetime) -> bool:
        """Whether a promotional message may be sent now."""
        local = now.astimezone(self.zone)
        hours = self.days[local.weekday()]
        return hours is not None and hours[0] <= local.hour * 60 + local.minute < hours[1]

    def earliest_legal_start(self, now: datetime) -> datetime:
        """Return the first moment from now on at which one may be sent, in UTC."""
        if self.is_open(now):
            return now
        return min(at for at in self._openings(now) if at > now and self.is_open(at))

    def closes_at(self, now: datetime) -> datetime | None:
        """Return the first moment from now on at which none may be sent, in UTC; None: never."""
        if not self.is_open(now):
            return now
        closings = (at for at in self._closings(now) if at > now and not self.is_open(at))
        return next(closings, None)

    def _closings(self, now: datetime) -> Iterator[datetime]:
        """Yield the ends of the hours in order; some are none, as the next day goes on."""
        walls = (
            midnight + timedelta(minutes=hours[1])
            for midnight in self._midnights(now)
            if (hours := self.days[midnight.weekday()]) is not None
        )
        for wall in walls:
            ends = [wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
            # Where clocks are shifted at that very hour, it comes twice, or is leapt over.
            for minute in range((max(ends) - min(ends)) // _A_MINUTE + 1):
                yield min(ends) + minute * _A_MINUTE

    def _midnights(self, now: datetime) -> list[datetime]:
        local = now.astimezone(self.zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        return [midnight + timedelta(days=ahead) for ahead in range(_DAYS_AHEAD)]

    def _openings(self, now: datetime) -> list[datetime]:
        # Wall time plus minutes: a zone that shifts its clocks opens by the clock on the wall.
        return [
            (day + timedelta(minutes=hours[0])).astimezone(UTC)
            for day in self._midnights(now)
            if (hours := self.days[day.weekday()]) is not None
        ]


@dataclass(frozen=True, slots=True)
class SendingWindows:
    """The hours of every country."""

    #: Of countries without a window of their own.
    default: Window
    by_country: Mapping[str, Window]

    def is_open(self, now: datetime, country: str) -> bool:
        """Whether a promotional message may be sent to a country now."""
        return self.by_country.get(country, self.default).is_open(now)

    def earliest_legal_start(self, now: datetime, country: str) -> datetime:
        """Return the first moment from now on at which one may be sent to a country, in UTC."""
        return self.by_country.get(country, self.default).earliest_legal_start(now)

    def closes_at(self, now: datetime, country: str) -> datetime | None:
        """Return the first moment from now on at which none may be sent to a country, in UTC."""
        return self.by_country.get(country, self.default).closes_at(now)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object], zone_of: ZoneOf) -> Self:
        """Read windows as TOML holds them; raises InvalidSendingWindows, which says where."""
        windows = {
            country: _read_window(country, table, zone_of) for country, table in mapping.items()
        }
        default = windows.pop("default", None)
        if default is None:
            raise InvalidSendingWindows("[default] must say the hours of all other countries.")
        return cls(default, windows)


#: Closes nothing: for rules that nobody set windows for.
ALWAYS_OPEN = SendingWindows(Window(UTC, ((0, _DAY_MINUTES),) * 7), {})


def _read_window(country: str, table: object, zone_of: ZoneOf) -> Window:
    if not _COUNTRY.fullmatch(country):
        raise InvalidSendingWindows(f"[{country}] is not a country code such as KE.")
    if not isinstance(table, Mapping) or table.keys() - {"zone", "hours", *_WEEKDAYS}:
        raise InvalidSendingWindows(
            f"[{country}] may hold zone, hours and names of weekdays, and nothing else."
        )
    hours = _read_hours(f"{country}.hours", table.get("hours"))
    days = tuple(
        _read_hours(f"{country}.{day}", table[day]) if day in table else hours for day in _WEEKDAYS
    )
    if not any(days):
        raise InvalidSendingWindows(f"[{country}] is never open.")
    return Window(_read_zone(country, table.get("zone"), zone_of), days)


def _read_zone(country: str, name: object, zone_of: ZoneOf) -> tzinfo:
    try:
        return zone_of(name if isinstance(name, str) else "")
    except (KeyError, ValueError) as error:
        raise InvalidSendingWindows(
            f'{country}.zone must be a name of the IANA list, as "Africa/Nairobi". '
            "If it is one, this machine has no time zones: install its package tzdata."
        ) from error


def _read_hours(where: str, text: object) -> tuple[int, int] | None:
    if text == _CLOSED:
        return None
    match = _HOURS.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise InvalidSendingWindows(f'{where} must be hours as "08:00-18:00", or "closed".')
    opens = int(match[1]) * 60 + int(match[2])
    closes = int(match[3]) * 60 + int(match[4])
    if not opens < closes <= _DAY_MINUTES:
        raise InvalidSendingWindows(f"{where} must close after it opens and by 24:00.")
    return opens, closes
