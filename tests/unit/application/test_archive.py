from datetime import UTC, datetime
from uuid import UUID, uuid4

from semalink.application.archive import (
    NothingArchived,
    RecordArchiving,
    RecordRestoring,
    month_of_id,
)
from semalink.domain.archived_month import ArchivedMonth, ArchiveFacts, archived_month_id
from semalink.domain.cause import Cause
from semalink_adapters.memory_ledger import MemoryLedger

CAUSE = Cause("cli:ops", datetime(2026, 11, 25, tzinfo=UTC), "req_1")
FACTS = ArchiveFacts(
    log="webhook_events",
    month="2026-03",
    event_count=1,
    content_sha256="ab",
    manifest_sha256="cd",
    location="webhook_events/2026-03/001/manifest.json",
)


async def test_record_archiving_changes_nothing_when_asked_again() -> None:
    ledger = MemoryLedger()
    restoring = RecordRestoring("webhook_events", "2026-03", CAUSE)
    archiving = RecordArchiving(FACTS, CAUSE)

    told = [
        (await ledger.execute(command)).value
        for command in (restoring, archiving, archiving, restoring, restoring, archiving)
    ]

    assert told == [False, True, False, True, False, True]
    events = ledger.streams[ArchivedMonth][archived_month_id("webhook_events", "2026-03")]
    assert [event.TOPIC for event in events] == [
        "archived_month.archived.1",
        "archived_month.restored.1",
        "archived_month.archived_again.1",
    ]


async def test_nothing_archived_has_no_stream() -> None:
    assert await NothingArchived().stream("message_events", uuid4()) == ()


def test_month_of_id_is_told_by_the_time_in_it() -> None:
    assert month_of_id(UUID("0195fc40-5c00-7000-8000-000000000000")) == "2025-04"
    assert month_of_id(uuid4()) is None
    assert month_of_id(UUID("ffffffff-ffff-7fff-bfff-ffffffffffff")) is None
