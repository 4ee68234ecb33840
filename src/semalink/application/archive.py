"""Months of logs that are not in the database any more: what is asked and recorded of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.domain.archived_month import ArchivedMonth, ArchiveFacts, archived_month_id
from semalink.domain.cause import Cause

#: Logs whose months are archived; each is divided by the time in its ids.
ARCHIVED_LOGS = ("message_events", "webhook_events")


_UUID_VERSION = 7
#: An id begins with 48 bits of milliseconds.
_BELOW_TIME = 80
#: Later than any log, and what a date can tell.
_MILLISECONDS_MAX = 250_000_000_000_000


class ArchivedEvent(NamedTuple):
    """One event as its log held it."""

    version: int
    topic: str
    state: bytes
    recorded_at: datetime


class ArchivedEvents(Protocol):
    """Reads single streams of months that were archived."""

    async def stream(self, log: str, stream_id: UUID) -> Sequence[ArchivedEvent]:
        """Return the events of a stream in order; none when its month is not archived.

        Raises ReadsUnavailable while the archive is away.
        """
        ...


class NothingArchived:
    """The archive of a process that needs none."""

    async def stream(self, log: str, stream_id: UUID) -> Sequence[ArchivedEvent]:
        """Return nothing."""
        return ()


def month_of_id(stream_id: UUID) -> str | None:
    """Return the month, as "2026-03" in UTC, that an id was made in; None when it tells no time."""
    milliseconds = stream_id.int >> _BELOW_TIME
    if stream_id.version != _UUID_VERSION or milliseconds > _MILLISECONDS_MAX:
        return None
    return f"{datetime.fromtimestamp(milliseconds // 1000, UTC):%Y-%m}"


@dataclass(frozen=True, slots=True)
class RecordArchiving(PlainCommand):
    """Record that a month was archived; asked again, it changes nothing."""

    facts: ArchiveFacts
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The month."""
        needs.settings.add(archived_month_id(self.facts["log"], self.facts["month"]))

    def decide(self, books: Books) -> bool:
        """Record it, unless it is recorded; return whether it was not."""
        month_id = archived_month_id(self.facts["log"], self.facts["month"])
        month = books.find(ArchivedMonth, month_id)
        if month is None:
            books.add(ArchivedMonth.archive(self.facts, self.cause))
        elif month.archived is None:
            month.archive_again(self.facts, self.cause)
        else:
            return False
        return True


@dataclass(frozen=True, slots=True)
class RecordRestoring(PlainCommand):
    """Record that a month is in the database again; asked again, it changes nothing."""

    log: str
    month: str
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The month."""
        needs.settings.add(archived_month_id(self.log, self.month))

    def decide(self, books: Books) -> bool:
        """Record it, unless it is recorded; return whether it was not."""
        month = books.find(ArchivedMonth, archived_month_id(self.log, self.month))
        if month is None or month.archived is None:
            return False
        month.restore(self.cause)
        return True
