"""What is read and written of contacts beside the ledger."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from semalink.domain.contact_file import Piece
from semalink.domain.contact_rows import RejectedRow
from semalink.domain.phone_number import PhoneNumber


class ContactListView(msgspec.Struct, frozen=True, kw_only=True):
    """A contact list, and how many it holds."""

    id: str
    name: str
    contact_count: int
    created_at: datetime
    changed_at: datetime


class ContactView(msgspec.Struct, frozen=True, kw_only=True):
    """One contact of a list."""

    number: str
    country: str
    #: A guess by the prefix, until a delivery report told better; null where nothing is known.
    network: str | None
    attributes: dict[str, str]
    added_at: datetime
    updated_at: datetime


class ImportRows(msgspec.Struct, frozen=True, kw_only=True):
    """How far an import is; each row that was checked counts once."""

    total: int
    checked: int
    added: int
    updated: int
    duplicate: int
    invalid: int


class ContactImportView(msgspec.Struct, frozen=True, kw_only=True):
    """An import of contacts, and how far it is."""

    id: str
    list_id: str
    #: "running", "finished", "failed" or "cancelled".
    state: str
    #: Why it failed: list_deleted.
    failure: str | None
    #: "csv" or "ndjson".
    format: str
    #: Names of the attributes that the columns hold; of NDJSON none is known.
    attributes: list[str]
    number_column: str | None
    bytes: int
    rows: ImportRows
    created_at: datetime
    ended_at: datetime | None


class Contacts(Protocol):
    """Lists, contacts and imports; each raises ReadsUnavailable while the database is away."""

    async def contact_list(self, list_id: UUID, account_id: UUID) -> ContactListView | None:
        """Return one list; None for another account's, and once it was deleted."""
        ...

    async def contact_lists(
        self, account_id: UUID, *, before: UUID | None, limit: int
    ) -> Sequence[ContactListView]:
        """Return lists of an account, newest first, below the id ``before``."""
        ...

    async def contacts(
        self,
        list_id: UUID,
        *,
        after: str | None,
        limit: int,
        number: str | None = None,
        network: str | None = None,
    ) -> Sequence[ContactView]:
        """Return contacts of a list in the order of their numbers."""
        ...

    async def put_contact(
        self, list_id: UUID, number: PhoneNumber, attributes: Mapping[str, str]
    ) -> bool:
        """Add a contact, or give it other attributes; True when it is new.

        Raises ContactListBusy while an import changes the list.
        """
        ...

    async def remove_contact(self, list_id: UUID, number: str) -> bool:
        """Take a contact off its list; False when it is not on it.

        Raises ContactListBusy while an import changes the list.
        """
        ...

    async def add_piece(self, import_id: UUID, piece_no: int, piece: Piece) -> None:
        """Store a piece of a file that is not whole yet."""
        ...

    async def discard_upload(self, import_id: UUID) -> None:
        """Forget the pieces of a file that broke off, or that was taken in before."""
        ...

    async def contact_imports(
        self, list_id: UUID, *, before: UUID | None, limit: int
    ) -> Sequence[ContactImportView]:
        """Return imports into a list, newest first, below the id ``before``."""
        ...

    async def running_import_count(self, account_id: UUID) -> int:
        """Return how many imports of an account are under way."""
        ...

    async def contact_import(self, import_id: UUID, list_id: UUID) -> ContactImportView | None:
        """Return one import."""
        ...

    async def rejected_rows(
        self, import_id: UUID, *, after_line: int, limit: int
    ) -> Sequence[RejectedRow]:
        """Return rows that were rejected, in the order of the file."""
        ...
