"""Opens the archive for processes that read from it."""

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from semalink.application.archive import (
    ArchivedEvent,
    ArchivedEvents,
    NothingArchived,
    month_of_id,
)
from semalink.projections.log_pages import ArchivedStreams as ArchivedLogs
from semalink_adapters.archive.store import (
    PATIENT,
    QUICK,
    Access,
    ObjectStorage,
    Patience,
    open_store,
)
from semalink_adapters.postgres.archive_lookup import PostgresArchivedMonths
from semalink_adapters.postgres.archived_months import IN_ARCHIVE_ONLY, MonthBook, open_owner
from semalink_ops.settings import Settings

if TYPE_CHECKING:
    from semalink_adapters.archive.reader import ArchiveReader


class NoArchiveUrl(Exception):
    """No archive is set."""

    def __init__(self) -> None:
        super().__init__(
            "There is no archive: set SEMALINK_ARCHIVE_URL to a folder, as"
            " file:///var/lib/semalink/archive, or to a bucket, as s3://semalink-archive/production."
        )


class ArchivedStreams:
    """Single streams of archived months; opened when the first is asked for."""

    def __init__(self, settings: Settings, pool: AsyncConnectionPool[Any]) -> None:
        self._settings = settings
        self._months = PostgresArchivedMonths(pool)
        self._reader: ArchiveReader | None = None

    async def stream(self, log: str, stream_id: UUID) -> Sequence[ArchivedEvent]:
        """Return the events of a stream in order; none when its month is not archived."""
        month = month_of_id(stream_id)
        located = None if month is None else await self._months.located(log, month)
        if located is None:
            return ()
        if self._reader is None:
            # Only here: what reads Parquet takes some fifty megabytes of every process.
            from semalink_adapters.archive.reader import ArchiveReader  # noqa: PLC0415

            self._reader = ArchiveReader(store_of(self._settings, QUICK))
        return await self._reader.read(located, stream_id)


def store_of(settings: Settings, patience: Patience = PATIENT) -> ObjectStorage:
    """Return the store that the settings name; raises NoArchiveUrl."""
    if settings.archive_url is None:
        raise NoArchiveUrl
    key, secret = settings.archive_access_key_id, settings.archive_secret_access_key
    access = Access(
        settings.archive_endpoint,
        settings.archive_region,
        None if key is None else key.reveal(),
        None if secret is None else secret.reveal(),
    )
    return open_store(settings.archive_url, access, patience=patience)


def archived_events(settings: Settings, pool: AsyncConnectionPool[Any]) -> ArchivedEvents:
    """Return what reads single streams of archived months."""
    return NothingArchived() if settings.archive_url is None else ArchivedStreams(settings, pool)


def archived_pages(settings: Settings) -> ArchivedLogs | None:
    """Return what rebuilds read of archived months; None when there are none.

    Raises NoArchiveUrl when there are some and the settings do not say where.
    """
    with closing(open_owner(settings.database_url.reveal())) as connection:
        rows = [row for row in MonthBook(connection).all() if row.state in IN_ARCHIVE_ONLY]
    if not rows:
        return None
    from semalink_adapters.archive.manifest import read_manifest  # noqa: PLC0415
    from semalink_adapters.archive.stream_pages import ArchivedPages  # noqa: PLC0415

    store = store_of(settings)
    return ArchivedPages(
        store,
        [
            read_manifest(store, row.manifest_path, row.manifest_sha256)
            for row in rows
            if row.manifest_path is not None and row.manifest_sha256 is not None
        ],
    )
