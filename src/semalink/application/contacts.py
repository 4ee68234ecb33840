"""Contact lists and imports: the commands, each a durable decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from semalink.application.account_commands import AboutAccount
from semalink.application.ledger import Books, Idempotency, Needs, PlainCommand
from semalink.application.tasks import CONTACTS_QUEUE, Task
from semalink.domain.cause import Cause
from semalink.domain.contact_errors import (
    ContactImportNotFound,
    ContactListNotFound,
    TooManyContactImports,
)
from semalink.domain.contact_import import ContactImport, ContactSource, RowCounts
from semalink.domain.contact_list import ContactList

#: Kinds of tasks: the rows of a piece are checked, and an import is closed behind its last piece.
PIECE_TASK = "import_piece"
END_TASK = "import_end"

LIST_DELETED = "list_deleted"


@dataclass(frozen=True, slots=True)
class _AnswersId:
    """What commands share whose answer is an id, kept under an idempotency key."""

    weight: ClassVar[int] = 1

    @staticmethod
    def encode(value: Any) -> bytes:
        """Write the id down."""
        return msgspec.json.encode(value)

    @staticmethod
    def decode(stored: bytes) -> UUID:
        """Read the id back."""
        return msgspec.json.decode(stored, type=UUID)


@dataclass(frozen=True, slots=True)
class CreateContactList(AboutAccount, _AnswersId):
    """Make a list without contacts."""

    list_id: UUID
    account_id: UUID
    name: str
    cause: Cause
    idempotency: Idempotency | None = None

    def needs(self, needs: Needs) -> None:
        """Nothing: it is new."""

    def decide(self, books: Books) -> UUID:
        """Make it."""
        books.add(ContactList.create(self.list_id, self.account_id, self.name, self.cause))
        return self.list_id


@dataclass(frozen=True, slots=True)
class RenameContactList(AboutAccount, PlainCommand):
    """Give a list another name."""

    list_id: UUID
    account_id: UUID
    name: str
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The list."""
        needs.settings.add(self.list_id)

    def decide(self, books: Books) -> None:
        """Rename it; raises ContactListNotFound."""
        owned_list(books, self.list_id, self.account_id).rename(self.name, self.cause)


@dataclass(frozen=True, slots=True)
class DeleteContactList(AboutAccount, PlainCommand):
    """Take a list away, with all its contacts."""

    list_id: UUID
    account_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The list."""
        needs.settings.add(self.list_id)

    def decide(self, books: Books) -> None:
        """Delete it; raises ContactListNotFound."""
        owned_list(books, self.list_id, self.account_id).delete(self.cause)


@dataclass(frozen=True, slots=True)
class StartContactImport(AboutAccount, _AnswersId):
    """Take in a file whose pieces are stored; a worker reads them from now on."""

    import_id: UUID
    account_id: UUID
    source: ContactSource
    task_id: UUID
    cause: Cause
    idempotency: Idempotency | None = None
    #: Imports of the account that were under way just before, and how many may be.
    running_count: int = 0
    running_max: int = 1

    def needs(self, needs: Needs) -> None:
        """The list that it is for."""
        needs.settings.add(self.source.list_id)

    def decide(self, books: Books) -> UUID:
        """Take it in; raises ContactListNotFound, TooManyContactImports."""
        owned_list(books, self.source.list_id, self.account_id)
        check_running(self.running_count, self.running_max)
        books.add(
            ContactImport.create(
                self.import_id, self.account_id, self.source, self.task_id, self.cause
            )
        )
        return self.import_id


@dataclass(frozen=True, slots=True)
class CancelContactImport(AboutAccount, PlainCommand):
    """Stop an import where it is."""

    import_id: UUID
    list_id: UUID
    account_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The import."""
        needs.settings.add(self.import_id)

    def decide(self, books: Books) -> None:
        """Stop it; raises ContactImportNotFound, ContactImportEnded."""
        found = books.find(ContactImport, self.import_id)
        if found is None or found.account_id != self.account_id or found.list_id != self.list_id:
            raise ContactImportNotFound
        found.cancel(self.cause)


@dataclass(frozen=True, slots=True)
class EndContactImport(PlainCommand):
    """Close an import behind its last piece, or where it cannot go on; again changes nothing."""

    import_id: UUID
    cause: Cause
    counts: RowCounts = field(default_factory=RowCounts)
    #: Why it cannot go on; None: every row was looked at.
    failure: str | None = None

    def needs(self, needs: Needs) -> None:
        """The import."""
        needs.settings.add(self.import_id)

    def decide(self, books: Books) -> None:
        """Close it; raises ContactImportNotFound."""
        found = books.find(ContactImport, self.import_id)
        if found is None:
            raise ContactImportNotFound
        if self.failure is None:
            found.finish(self.counts, self.cause)
        else:
            found.fail(self.failure, self.cause)


def check_running(running_count: int, running_max: int) -> None:
    """Refuse one import more than may be under way; raises TooManyContactImports."""
    if running_count >= running_max:
        raise TooManyContactImports(running_max)


def owned_list(books: Books, list_id: UUID, account_id: UUID) -> ContactList:
    """Return a list of an account; raises ContactListNotFound, also once it was deleted."""
    found = books.find(ContactList, list_id)
    if found is None or found.account_id != account_id:
        raise ContactListNotFound
    found.check_present()
    return found


def piece_task(task_id: UUID, account_id: UUID, import_id: UUID, piece_no: int) -> Task:
    """Return the task to check the rows of a piece."""
    payload: Mapping[str, Any] = {"import_id": import_id.hex, "piece_no": piece_no}
    return Task(task_id, CONTACTS_QUEUE, PIECE_TASK, account_id, payload)


def end_task(task_id: UUID, account_id: UUID, import_id: UUID) -> Task:
    """Return the task to close an import."""
    return Task(task_id, CONTACTS_QUEUE, END_TASK, account_id, {"import_id": import_id.hex})
