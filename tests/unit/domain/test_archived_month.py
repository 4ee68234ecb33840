from datetime import UTC, datetime

import pytest

from semalink.domain.archived_month import ArchivedMonth, ArchiveFacts, archived_month_id
from semalink.domain.cause import Cause

CAUSE = Cause("cli:ops", datetime(2026, 11, 25, tzinfo=UTC), "req_1")
FACTS = ArchiveFacts(
    log="message_events",
    month="2026-03",
    event_count=160,
    content_sha256="ab",
    manifest_sha256="cd",
    location="message_events/2026-03/001/manifest.json",
)


def test_archive_restore_and_archive_again_are_steps_of_one_stream() -> None:
    month = ArchivedMonth.archive(FACTS, CAUSE)
    first = month.archived

    month.restore(CAUSE)
    between = month.archived
    month.archive_again(FACTS, CAUSE)

    assert month.id == archived_month_id("message_events", "2026-03")
    assert first is not None
    assert between is None
    assert month.archived is not None
    assert [type(event).__name__ for event in month.collect_events()] == [
        "Created", "Restored", "ArchivedAgain",
    ]  # fmt: skip


def test_restore_refuses_a_month_that_is_restored() -> None:
    month = ArchivedMonth.archive(FACTS, CAUSE)
    month.restore(CAUSE)

    with pytest.raises(AssertionError):
        month.restore(CAUSE)


def test_archive_again_refuses_a_month_that_is_archived() -> None:
    month = ArchivedMonth.archive(FACTS, CAUSE)

    with pytest.raises(AssertionError):
        month.archive_again(FACTS, CAUSE)
