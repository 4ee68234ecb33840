"""A month of a log that was moved out of the database, into object storage."""

from typing import Self, TypedDict
from uuid import UUID, uuid5

from eventsourcing.domain import Aggregate

from semalink.domain.cause import Cause

#: The id is made from log and month, so that each has one stream.
_ARCHIVED_MONTHS = UUID("3d0c9a72-5c1e-5b7d-8a4e-6f1d2b9c0e45")


class ArchiveFacts(TypedDict):
    """What is recorded of a month that was archived."""

    log: str
    month: str
    event_count: int
    content_sha256: str
    manifest_sha256: str
    location: str


class ArchivedMonth(Aggregate):
    """Whether a month of a log is in the archive, and what was put there."""

    TOPIC = "archived_month"

    def __init__(self) -> None:
        """Start empty: the first event stands the month up."""

    class Event(Aggregate.Event):
        """A step of a month: who, in which request."""

        actor: str
        request_id: str

    class Created(Event, Aggregate.Created):
        """The month was moved, verified, and dropped from the database, for the first time."""

        TOPIC = "archived_month.archived.1"
        log: str
        #: As "2026-03", in UTC.
        month: str
        event_count: int
        #: Hexadecimal SHA-256 over the rows, whatever files they are in.
        content_sha256: str
        manifest_sha256: str
        #: Where the manifest is, below the address of the archive.
        location: str

        def apply(self, archived_month: "ArchivedMonth") -> None:
            """Stand the month up, archived."""
            archived_month.archived = self

    class ArchivedAgain(Event):
        """The month had been restored and was archived again."""

        TOPIC = "archived_month.archived_again.1"
        log: str
        month: str
        event_count: int
        content_sha256: str
        manifest_sha256: str
        location: str

        def apply(self, archived_month: "ArchivedMonth") -> None:
            """Remember what is in the archive now."""
            archived_month.archived = self

    class Restored(Event):
        """The month is in the database again."""

        TOPIC = "archived_month.restored.1"
        log: str
        month: str
        event_count: int
        content_sha256: str

        def apply(self, archived_month: "ArchivedMonth") -> None:
            """Remember that nothing of it counts in the archive."""
            archived_month.archived = None

    #: What was recorded when it was archived last; None while it is in the database.
    archived: Created | ArchivedAgain | None

    @classmethod
    def archive(cls, facts: ArchiveFacts, cause: Cause) -> Self:
        """Record that a month was archived for the first time."""
        return cls._create(
            cls.Created,
            id=archived_month_id(facts["log"], facts["month"]),
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            **facts,
        )

    def archive_again(self, facts: ArchiveFacts, cause: Cause) -> None:
        """Record that a month was archived which had been restored."""
        assert self.archived is None, "a month is archived once until it is restored"
        self.trigger_event(
            self.ArchivedAgain,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            **facts,
        )

    def restore(self, cause: Cause) -> None:
        """Record that a month is in the database again."""
        assert self.archived is not None, "only an archived month is restored"
        self.trigger_event(
            self.Restored,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            log=self.archived.log,
            month=self.archived.month,
            event_count=self.archived.event_count,
            content_sha256=self.archived.content_sha256,
        )


def archived_month_id(log: str, month: str) -> UUID:
    """Return the id of a month's stream."""
    return uuid5(_ARCHIVED_MONTHS, f"{log}/{month}")
