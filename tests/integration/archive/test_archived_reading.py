"""What is archived is still answered for: by its id, in its history, and in a rebuild."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import Engine, NullPool, create_engine
from tests.integration.archive.old_months import ACCOUNT_ID, MONTH, id_of, make_month

from semalink.application.history import HistoryFilter
from semalink.application.reading import ReadsUnavailable
from semalink.projections.log_pages import ArchivedStreams as ArchivedStreamsOfLogs
from semalink.projections.messages import MESSAGES
from semalink.projections.rebuilding import open_rebuild
from semalink.projections.shadow import Pace
from semalink.projections.usage import USAGE
from semalink.projections.verifying import verify
from semalink_adapters.archive.manifest import read_manifest
from semalink_adapters.archive.reader import ArchiveReader
from semalink_adapters.archive.store import ObjectStorage
from semalink_adapters.postgres.archived_months import ReadModelBusy, open_owner, take_lock
from semalink_adapters.postgres.history import PostgresHistory
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.migrate import sqlalchemy_url
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.reads import PostgresReads
from semalink_ops.archiving.calendar import LogMonth
from semalink_ops.archiving.months import Archiver
from semalink_ops.archiving.reading import ArchivedStreams, NoArchiveUrl, archived_pages
from semalink_ops.archiving.restoring import Restorer
from semalink_ops.settings import Settings

#: The header of the first page, which no checksum of Parquet covers.
SPAN_HEAD = (4, 40)
EVENTS = LogMonth(MONTH, "message_events")


@pytest.fixture
def settings(database_url: str, store: ObjectStorage, tmp_path: Path) -> Settings:
    """The settings of processes that read from the archive."""
    return Settings.from_environment(
        {
            "SEMALINK_DATABASE_URL": database_url,
            "SEMALINK_NATS_URL": "nats://127.0.0.1:9",
            "SEMALINK_KEY_PEPPER": "a-pepper-of-at-least-thirty-two-characters",
            "SEMALINK_ARCHIVE_URL": (tmp_path / "archive").as_uri(),
        }
    )


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[AsyncConnectionPool[Any]]:
    """Connections for reading."""
    opened = open_pool(database_url, size=1)
    await opened.open(wait=True)
    yield opened
    await opened.close()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Connections for rebuilding."""
    opened = create_engine(sqlalchemy_url(database_url), poolclass=NullPool)
    yield opened
    opened.dispose()


async def test_read_answers_for_an_archived_message_as_before(
    database_url: str,
    archiver: Archiver,
    settings: Settings,
    pool: AsyncConnectionPool[Any],
) -> None:
    ids = make_month(database_url, 40)
    reads = PostgresReads(pool, archived=ArchivedStreams(settings, pool))
    before = [(await reads.message(one, None), await reads.history(one, ACCOUNT_ID)) for one in ids]

    archiver.archive(EVENTS)

    after = [(await reads.message(one, None), await reads.history(one, ACCOUNT_ID)) for one in ids]
    assert after == before
    assert await reads.message(ids[0], id_of(99)) is None
    assert await reads.message(id_of(99), None) is None
    assert await PostgresReads(pool).message(ids[0], None) is None


async def test_history_lists_an_archived_message_as_before(
    database_url: str,
    archiver: Archiver,
    settings: Settings,
    pool: AsyncConnectionPool[Any],
) -> None:
    ids = make_month(database_url, 9)
    history = PostgresHistory(pool, archived=ArchivedStreams(settings, pool))
    asked = HistoryFilter(subject_id=ids[4])
    before = await history.page(asked, None, 10)

    archiver.archive(EVENTS)

    assert len(before.rows) == 4
    assert await history.page(asked, None, 10) == before
    first = await history.page(asked, None, 3)
    second = await history.page(asked, first.next, 3)
    assert [*first.rows, *second.rows] == list(before.rows)


async def test_read_says_that_the_archive_is_damaged(
    database_url: str,
    archiver: Archiver,
    store: ObjectStorage,
    settings: Settings,
    pool: AsyncConnectionPool[Any],
) -> None:
    ids = make_month(database_url, 3)
    row = archiver.archive(EVENTS)
    store.put(str(row.manifest_path), b"{}")

    reads = PostgresReads(pool, archived=ArchivedStreams(settings, pool))

    with pytest.raises(ReadsUnavailable, match="archive verify"):
        await reads.message(ids[0], None)


async def test_read_notices_every_byte_that_was_altered(
    database_url: str, archiver: Archiver, store: ObjectStorage
) -> None:
    ids = make_month(database_url, 3)
    row = archiver.archive(EVENTS)
    manifest = read_manifest(store, str(row.manifest_path), str(row.manifest_sha256))
    file = manifest.files[0]
    content = store.get(file.path)
    places = [*range(*SPAN_HEAD), content.rindex(b"parquet-cpp")]
    answered = []

    for place in places:
        altered = bytearray(content)
        altered[place] ^= 1
        store.put(file.path, bytes(altered))
        try:
            await ArchiveReader(store).read(row, ids[0])
            answered.append(place)
        except ReadsUnavailable:
            continue

    assert answered == []
    store.put(file.path, content)
    assert len(await ArchiveReader(store).read(row, ids[0])) == 4


def test_replay_of_archived_months_makes_the_live_read_models(
    database_url: str, archiver: Archiver, settings: Settings, engine: Engine
) -> None:
    make_month(database_url, 40)
    make_month(database_url, 20, datetime(2026, 4, 2, tzinfo=UTC))
    make_month(database_url, 10, datetime(2026, 5, 2, tzinfo=UTC))
    for month in (MONTH, "2026-04"):
        archiver.archive(LogMonth(month, "message_events"))
    Restorer(archiver, database_url).restore(EVENTS)
    read = EventMapper.read

    archived = partial(archived_pages, settings)

    assert verify(engine, USAGE, read, Pace(), archived=archived).difference_count == 0
    assert verify(engine, USAGE, read, Pace()).difference_count > 0
    assert verify(engine, MESSAGES, read, Pace(), archived=archived).difference_count == 0


def test_replay_asks_what_is_archived_while_no_month_can_go(
    database_url: str, archiver: Archiver, settings: Settings, engine: Engine
) -> None:
    make_month(database_url, 4)

    def archive_at_the_last_moment() -> ArchivedStreamsOfLogs | None:
        with pytest.raises(ReadModelBusy), closing(open_owner(database_url)) as other:
            take_lock(other, ["usage"])
        return archived_pages(settings)

    compared = verify(engine, USAGE, EventMapper.read, Pace(), archived=archive_at_the_last_moment)
    with open_rebuild(
        engine, USAGE, EventMapper.read, Pace(), archived=archive_at_the_last_moment
    ) as rebuild:
        assert rebuild is not None
        rebuild.cancel()

    assert compared.difference_count == 0


def test_replay_refuses_without_the_address_of_the_archive(
    database_url: str, archiver: Archiver, settings: Settings, owner: psycopg.Connection[Any]
) -> None:
    make_month(database_url, 1)
    nowhere = Settings.from_environment({**settings.to_environment(), "SEMALINK_ARCHIVE_URL": ""})

    before = archived_pages(nowhere)
    archiver.archive(EVENTS)

    assert before is None
    with pytest.raises(NoArchiveUrl, match="SEMALINK_ARCHIVE_URL"):
        archived_pages(nowhere)
