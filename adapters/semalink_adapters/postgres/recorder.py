"""The library's recorder, made fit for several logs in one transaction."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from eventsourcing.application import Repository
from eventsourcing.persistence import EventStore, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg import Connection, Cursor
from psycopg.rows import dict_row
from psycopg.sql import SQL

from semalink_adapters.postgres.arrays import (
    Packed,
    accept_packed,
    pack_bigints,
    pack_blobs,
    pack_texts,
    pack_uuids,
)
from semalink_adapters.postgres.mapper import EventMapper

LEDGER_ENTRIES = "ledger_entries"
MESSAGE_EVENTS = "message_events"
ADMIN_EVENTS = "admin_events"
WEBHOOK_EVENTS = "webhook_events"


class Datastore(PostgresDatastore):
    """The library's pool, opened on a whole connection string and without composite types."""

    def __init__(self, database_url: str, *, pool_size: int = 1, max_overflow: int = 4) -> None:
        super().__init__(
            dbname="",
            host="",
            port="",
            user="",
            password="",
            pool_size=pool_size,
            max_overflow=max_overflow,
            idle_in_transaction_session_timeout=5,
            enable_db_functions=False,
        )
        self.pool.conninfo = database_url
        self.pool.kwargs = {"row_factory": dict_row}

    def after_connect_func(self) -> Callable[[Connection[Any]], None]:
        """Return what readies a new connection."""
        after_connect = super().after_connect_func()

        def ready(connection: Connection[Any]) -> None:
            after_connect(connection)
            accept_packed(connection)

        return ready

    def register_type_adapters(self) -> None:
        """Do nothing: rows travel as arrays, so no type has to be looked up at start."""


class LogRecorder(PostgresApplicationRecorder):
    """Records one log without a table lock and without NOTIFY.

    Readers are bounded by ``pg_snapshot_xmin`` instead (ADR-0007), so writers never queue up
    behind one another here. The table itself is made by a migration.
    """

    def __init__(self, datastore: PostgresDatastore, log: str) -> None:
        super().__init__(datastore, events_table_name=log)
        self._sealed = log == LEDGER_ENTRIES
        columns = "originator_id, originator_version, topic, state"
        arrays = "%b::uuid[], %b::bigint[], %b::text[], %b::bytea[]"
        if self._sealed:
            columns += ", message_id, entry_hash"
            arrays += ", %b::uuid[], %b::bytea[]"
        #: Inserts events whose columns are given as arrays.
        self.insertion = f"INSERT INTO {log} ({columns}) SELECT * FROM unnest({arrays})"  # noqa: S608
        self.insert_events_statement = SQL(f"{self.insertion} RETURNING notification_id").format()

    def _lock_table(self, curs: Cursor[Any]) -> None:
        pass

    def _notify_channel(self, curs: Cursor[Any]) -> None:
        pass

    def _insert_stored_events(
        self,
        curs: Cursor[Any],
        stored_events: Sequence[StoredEvent],
        **seals: Any,
    ) -> None:
        """Insert events in the transaction that the cursor is in."""
        curs.execute(
            self.insert_events_statement, self.columns(stored_events, **seals), prepare=True
        )

    def columns(self, stored_events: Sequence[StoredEvent], **seals: Any) -> list[Packed]:
        """Return the columns of events; ledger entries need ``message_ids``, ``entry_hashes``."""
        columns = [
            pack_uuids([event.originator_id for event in stored_events]),  # type: ignore[misc]
            pack_bigints([event.originator_version for event in stored_events]),
            pack_texts([event.topic for event in stored_events]),
            pack_blobs([event.state for event in stored_events]),
        ]
        if self._sealed:
            columns += [pack_uuids(seals["message_ids"]), pack_blobs(seals["entry_hashes"])]
        return columns


def open_repository(datastore: PostgresDatastore, log: str) -> Repository[UUID]:
    """Return the library's repository over one log, for reading single aggregates."""
    return Repository(EventStore(EventMapper(), LogRecorder(datastore, log)))
