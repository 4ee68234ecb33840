"""Contact lists and imports, as commands decide on them."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from semalink.application.contacts import (
    CancelContactImport,
    CreateContactList,
    DeleteContactList,
    EndContactImport,
    RenameContactList,
    StartContactImport,
    end_task,
    piece_task,
)
from semalink.application.ledger import Idempotency
from semalink.domain.cause import Cause
from semalink.domain.contact_errors import (
    ContactImportEnded,
    ContactImportNotFound,
    ContactListNotFound,
    TooManyContactImports,
)
from semalink.domain.contact_import import ContactImport, ContactSource, ImportState, RowCounts
from semalink.domain.contact_list import ContactList
from semalink_adapters.memory_ledger import MemoryLedger

ACME, OTHER = UUID(int=1), UUID(int=2)
LIST, IMPORT = UUID(int=3), UUID(int=4)
CAUSE = Cause("key:1", datetime(2026, 11, 2, tzinfo=UTC), "req_1")
SOURCE = ContactSource(LIST, "csv", "KE", 2, 1, 40, "00", ("number",), ",", "number")


@pytest.fixture
def ledger() -> MemoryLedger:
    ledger = MemoryLedger()
    ledger.decide(CreateContactList(LIST, ACME, "Shop", CAUSE))
    return ledger


def start(ledger: MemoryLedger) -> None:
    ledger.decide(StartContactImport(IMPORT, ACME, SOURCE, UUID(int=9), CAUSE))


def state(ledger: MemoryLedger) -> ImportState:
    found = ledger.load(ContactImport, IMPORT)
    assert found is not None
    return found.state


def test_create_answers_a_repeated_key_with_the_first_list(ledger: MemoryLedger) -> None:
    key = Idempotency(ACME, "once", b"same")

    first = ledger.decide(CreateContactList(UUID(int=5), ACME, "Once", CAUSE, key))
    second = ledger.decide(CreateContactList(UUID(int=6), ACME, "Once", CAUSE, key))

    assert (first.value, second.value, second.replayed) == (UUID(int=5), UUID(int=5), True)


def test_rename_records_only_another_name(ledger: MemoryLedger) -> None:
    for name in ("Shop", "Duka", "Duka"):
        ledger.decide(RenameContactList(LIST, ACME, name, CAUSE))

    found = ledger.load(ContactList, LIST)
    assert found is not None
    assert (found.name, found.version) == ("Duka", 2)


@pytest.mark.parametrize("account_id", [ACME, OTHER])
def test_delete_is_refused_for_what_is_gone_and_for_others(
    ledger: MemoryLedger, account_id: UUID
) -> None:
    if account_id == ACME:
        ledger.decide(DeleteContactList(LIST, ACME, CAUSE))

    with pytest.raises(ContactListNotFound):
        ledger.decide(DeleteContactList(LIST, account_id, CAUSE))
    with pytest.raises(ContactListNotFound):
        ledger.decide(RenameContactList(LIST, account_id, "Mine", CAUSE))
    with pytest.raises(ContactListNotFound):
        ledger.decide(StartContactImport(IMPORT, account_id, SOURCE, UUID(int=9), CAUSE))


def test_start_is_refused_and_records_nothing_when_as_many_as_may_be_are_under_way(
    ledger: MemoryLedger,
) -> None:
    command = StartContactImport(
        IMPORT, ACME, SOURCE, UUID(int=9), CAUSE, running_count=20, running_max=20
    )

    with pytest.raises(TooManyContactImports, match="20"):
        ledger.decide(command)

    assert list(ledger.events_of(IMPORT)) == []


def test_end_finishes_an_import_once(ledger: MemoryLedger) -> None:
    start(ledger)

    for added in (2, 3):
        ledger.decide(EndContactImport(IMPORT, CAUSE, RowCounts(added=added)))
    ledger.decide(EndContactImport(IMPORT, CAUSE, failure="list_deleted"))

    assert state(ledger) is ImportState.FINISHED
    [_, finished] = ledger.events_of(IMPORT)
    assert finished.counts == RowCounts(added=2)  # type: ignore[attr-defined]
    with pytest.raises(ContactImportEnded, match="finished"):
        ledger.decide(CancelContactImport(IMPORT, LIST, ACME, CAUSE))


def test_end_fails_an_import_that_cannot_go_on(ledger: MemoryLedger) -> None:
    start(ledger)

    ledger.decide(EndContactImport(IMPORT, CAUSE, failure="list_deleted"))

    assert state(ledger) is ImportState.FAILED


def test_cancel_stops_an_import_before_it_ends(ledger: MemoryLedger) -> None:
    start(ledger)

    ledger.decide(CancelContactImport(IMPORT, LIST, ACME, CAUSE))
    ledger.decide(EndContactImport(IMPORT, CAUSE, RowCounts(added=2)))

    assert state(ledger) is ImportState.CANCELLED


@pytest.mark.parametrize(
    ("import_id", "list_id", "account_id"),
    [(UUID(int=8), LIST, ACME), (IMPORT, UUID(int=8), ACME), (IMPORT, LIST, OTHER)],
)
def test_cancel_is_refused_for_what_is_not_there(
    ledger: MemoryLedger, import_id: UUID, list_id: UUID, account_id: UUID
) -> None:
    start(ledger)

    with pytest.raises(ContactImportNotFound):
        ledger.decide(CancelContactImport(import_id, list_id, account_id, CAUSE))


def test_end_is_refused_for_an_import_that_is_not_there(ledger: MemoryLedger) -> None:
    with pytest.raises(ContactImportNotFound):
        ledger.decide(EndContactImport(IMPORT, CAUSE))


def test_tasks_of_an_import_name_it_by_ids_alone() -> None:
    piece = piece_task(UUID(int=1), ACME, IMPORT, 7)
    end = end_task(UUID(int=2), ACME, IMPORT)

    assert piece.payload == {"import_id": IMPORT.hex, "piece_no": 7}
    assert (end.kind, end.payload) == ("import_end", {"import_id": IMPORT.hex})
