"""Contacts in memory: for tests, held to the same contract as those on PostgreSQL."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from semalink.application.contact_reading import (
    ContactImportView,
    ContactListView,
    ContactView,
    ImportRows,
)
from semalink.application.reading import ReadsUnavailable
from semalink.domain.contact_errors import ContactListBusy
from semalink.domain.contact_file import Piece
from semalink.domain.contact_import import ContactImport, ImportState, RowCounts
from semalink.domain.contact_list import ContactList
from semalink.domain.contact_rows import RejectedRow
from semalink.domain.ids import CONTACT_IMPORT_PREFIX, CONTACT_LIST_PREFIX, format_id
from semalink.domain.phone_number import PhoneNumber
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_networks import learned_networks


@dataclass(slots=True)
class MemoryContacts:
    """Contacts over what a MemoryLedger decided; nothing here checks the rows of an import."""

    ledger: MemoryLedger
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    is_available: bool = True
    #: Pieces of files, by import.
    pieces: dict[UUID, list[Piece]] = field(default_factory=dict)
    #: What became of the rows, by import; a test that plays the worker writes here.
    counts: dict[UUID, RowCounts] = field(default_factory=dict)
    rejected: dict[UUID, list[RejectedRow]] = field(default_factory=dict)
    #: Lists that an import is changing.
    busy: set[UUID] = field(default_factory=set)
    _contacts: dict[UUID, dict[str, ContactView]] = field(default_factory=dict)

    async def contact_list(self, list_id: UUID, account_id: UUID) -> ContactListView | None:
        """Return one list; None for another account's, and once it was deleted."""
        self._check()
        found = self.ledger.load(ContactList, list_id)
        if found is None or found.is_deleted or found.account_id != account_id:
            return None
        return ContactListView(
            id=format_id(CONTACT_LIST_PREFIX, list_id),
            name=found.name,
            contact_count=len(self._contacts.get(list_id, ())),
            created_at=found.created_on,
            changed_at=found.modified_on,
        )

    async def contact_lists(
        self, account_id: UUID, *, before: UUID | None, limit: int
    ) -> Sequence[ContactListView]:
        """Return lists of an account, newest first, below the id ``before``."""
        ids = _newest_first(self.ledger.ids(ContactList), before)
        views = [await self.contact_list(list_id, account_id) for list_id in ids]
        return [view for view in views if view is not None][:limit]

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
        self._check()
        learned = learned_networks(self.ledger)
        found = [
            msgspec.structs.replace(view, network=learned.get(key, view.network))
            for key, view in sorted(self._contacts.get(list_id, {}).items())
        ]
        return [
            view
            for view in found
            if view.number > (after or "")
            and (number is None or view.number == number)
            and (network is None or view.network == network)
        ][:limit]

    async def put_contact(
        self, list_id: UUID, number: PhoneNumber, attributes: Mapping[str, str]
    ) -> bool:
        """Add a contact, or give it other attributes; True when it is new."""
        self._check_free(list_id)
        of_list = self._contacts.setdefault(list_id, {})
        before, now = of_list.get(number.e164), self.now()
        of_list[number.e164] = ContactView(
            number=number.e164,
            country=number.country,
            network=number.network,
            attributes=dict(attributes),
            added_at=now if before is None else before.added_at,
            updated_at=now,
        )
        return before is None

    async def remove_contact(self, list_id: UUID, number: str) -> bool:
        """Take a contact off its list; False when it is not on it."""
        self._check_free(list_id)
        return self._contacts.get(list_id, {}).pop(number, None) is not None

    async def add_piece(self, import_id: UUID, piece_no: int, piece: Piece) -> None:
        """Store a piece of a file that is not whole yet."""
        self._check()
        of_import = self.pieces.setdefault(import_id, [])
        assert piece_no == len(of_import), "pieces come in order"
        of_import.append(piece)

    async def discard_upload(self, import_id: UUID) -> None:
        """Forget the pieces of a file that broke off, or that was taken in before."""
        self._check()
        self.pieces.pop(import_id, None)

    async def contact_imports(
        self, list_id: UUID, *, before: UUID | None, limit: int
    ) -> Sequence[ContactImportView]:
        """Return imports into a list, newest first, below the id ``before``."""
        ids = _newest_first(self.ledger.ids(ContactImport), before)
        views = [await self.contact_import(import_id, list_id) for import_id in ids]
        return [view for view in views if view is not None][:limit]

    async def running_import_count(self, account_id: UUID) -> int:
        """Return how many imports of an account are under way."""
        self._check()
        found = [self.ledger.load(ContactImport, one) for one in self.ledger.ids(ContactImport)]
        return sum(
            one is not None and one.account_id == account_id and one.state is ImportState.RUNNING
            for one in found
        )

    async def contact_import(self, import_id: UUID, list_id: UUID) -> ContactImportView | None:
        """Return one import."""
        self._check()
        events = self.ledger.streams[ContactImport].get(import_id, [])
        if not events or events[0].source.list_id != list_id:
            return None
        source, last = events[0].source, events[-1]
        state = "running" if last is events[0] else last.TOPIC.split(".")[1]
        counts = self.counts.get(import_id, RowCounts())
        return ContactImportView(
            id=format_id(CONTACT_IMPORT_PREFIX, import_id),
            list_id=format_id(CONTACT_LIST_PREFIX, list_id),
            state=state,
            failure=getattr(last, "reason", None),
            format=source.format,
            attributes=[name for name in source.columns if name != source.number_column],
            number_column=source.number_column,
            bytes=source.byte_count,
            rows=ImportRows(
                total=source.row_count,
                checked=counts.checked,
                added=counts.added,
                updated=counts.updated,
                duplicate=counts.duplicate,
                invalid=counts.invalid,
            ),
            created_at=events[0].timestamp,
            ended_at=None if state == "running" else last.timestamp,
        )

    async def rejected_rows(
        self, import_id: UUID, *, after_line: int, limit: int
    ) -> Sequence[RejectedRow]:
        """Return rows that were rejected, in the order of the file."""
        self._check()
        rows = self.rejected.get(import_id, [])
        return [row for row in rows if row.line > after_line][:limit]

    def _check_free(self, list_id: UUID) -> None:
        self._check()
        if list_id in self.busy:
            raise ContactListBusy

    def _check(self) -> None:
        if not self.is_available:
            msg = "The database is away."
            raise ReadsUnavailable(msg)


def _newest_first(ids: Iterable[UUID], before: UUID | None) -> list[UUID]:
    return sorted((one for one in ids if before is None or one < before), reverse=True)
