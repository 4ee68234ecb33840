"""An import of contacts: a file that was taken in whole, and what became of its rows."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from semalink.domain.cause import Cause
from semalink.domain.contact_errors import ContactImportEnded


class ImportState(StrEnum):
    """Where an import stands."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class ContactSource:
    """What was taken in, and how it is to be read."""

    list_id: UUID
    #: "csv" or "ndjson".
    format: str
    #: Country of numbers that name none.
    default_country: str
    #: Rows of the file, the header not counted.
    row_count: int
    piece_count: int
    byte_count: int
    #: Of the file as it was sent, decompressed.
    sha256: str
    #: Names of the columns in their order; none for NDJSON.
    columns: tuple[str, ...] = ()
    delimiter: str = ""
    #: The column or field of the numbers; None where each row is looked at.
    number_column: str | None = None


@dataclass(frozen=True, slots=True)
class RowCounts:
    """What became of the rows of a file; each row counts once."""

    #: Contacts that are new on the list.
    added: int = 0
    #: Contacts that the list had before.
    updated: int = 0
    #: Rows whose number came before in the file.
    duplicate: int = 0
    #: Rows that name no number to be messaged, or hold what no contact has.
    invalid: int = 0

    @property
    def checked(self) -> int:
        """How many rows were looked at."""
        return self.added + self.updated + self.duplicate + self.invalid


class ContactImport(Aggregate):
    """One import; its pieces, its progress and its rejected rows are in tables beside it."""

    TOPIC = "contact_import"

    account_id: UUID
    list_id: UUID
    state: ImportState

    def __init__(self) -> None:
        """Start empty: the first event stands it up."""

    class Event(Aggregate.Event):
        """A step of an import: who, in which request."""

        actor: str
        request_id: str

    class Created(Event, Aggregate.Created):
        """The file is here, in pieces; a worker reads them."""

        TOPIC = "contact_import.created.1"
        account_id: UUID
        source: ContactSource
        #: The task of the first piece.
        task_id: UUID

        def apply(self, contacts: "ContactImport") -> None:
            """Stand it up."""
            contacts.account_id = self.account_id
            contacts.list_id = self.source.list_id
            contacts.state = ImportState.RUNNING

    class Finished(Event):
        """Every row was looked at."""

        TOPIC = "contact_import.finished.1"
        counts: RowCounts

        def apply(self, contacts: "ContactImport") -> None:
            """Close it."""
            contacts.state = ImportState.FINISHED

    class Failed(Event):
        """It cannot go on; what was imported stays."""

        TOPIC = "contact_import.failed.1"
        #: "list_deleted".
        reason: str

        def apply(self, contacts: "ContactImport") -> None:
            """Close it."""
            contacts.state = ImportState.FAILED

    class Cancelled(Event):
        """Somebody stopped it; what was imported stays."""

        TOPIC = "contact_import.cancelled.1"

        def apply(self, contacts: "ContactImport") -> None:
            """Close it."""
            contacts.state = ImportState.CANCELLED

    @classmethod
    def create(
        cls, import_id: UUID, account_id: UUID, source: ContactSource, task_id: UUID, cause: Cause
    ) -> Self:
        """Take a file in."""
        return cls._create(
            cls.Created,
            id=import_id,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            account_id=account_id,
            source=source,
            task_id=task_id,
        )

    def finish(self, counts: RowCounts, cause: Cause) -> None:
        """Close it when every row was looked at; one that is over stays as it is."""
        if self.state is ImportState.RUNNING:
            self._add(self.Finished, cause, counts=counts)

    def fail(self, reason: str, cause: Cause) -> None:
        """Close it where it is; one that is over stays as it is."""
        if self.state is ImportState.RUNNING:
            self._add(self.Failed, cause, reason=reason)

    def cancel(self, cause: Cause) -> None:
        """Stop it where it is; raises ContactImportEnded."""
        if self.state is not ImportState.RUNNING:
            raise ContactImportEnded(self.state)
        self._add(self.Cancelled, cause)

    def _add(self, step: type[Event], cause: Cause, **facts: Any) -> None:
        self.trigger_event(
            step, timestamp=cause.at, actor=cause.actor, request_id=cause.request_id, **facts
        )
