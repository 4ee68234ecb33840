"""A clock that goes when it is told to; for tests."""

from datetime import datetime, timedelta


class MemoryClock:
    """Stands still until it is moved on."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        """Return the time, aware and in UTC."""
        return self._at

    def advance(self, **by: float) -> None:
        """Move on, by what ``timedelta`` takes."""
        self._at += timedelta(**by)
