"""The ledger on PostgreSQL: whatever is waiting is decided together and committed once."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar, cast

import psycopg
import structlog
from psycopg import errors

from semalink.application.ledger import (
    Answer,
    Command,
    LedgerUnavailable,
    OutcomeInDoubt,
    decide_batch,
)
from semalink_adapters.postgres.batch import BatchStore

T = TypeVar("T")

BATCH_MAX = 256
QUEUE_MAX = 8_192
#: A batch that met a concurrent writer is decided anew, at most so often.
TRIES_MAX = 8
CONNECT_TIMEOUT_SECONDS = 2
#: How long an answer that was lost at the commit is asked after.
DOUBT_SECONDS_MAX = 10.0
_RECONNECT_PAUSE_SECONDS = 0.2

_CONFLICTS = (errors.UniqueViolation, errors.DeadlockDetected, errors.SerializationFailure)
_BROKEN = (psycopg.OperationalError, psycopg.InterfaceError)

_log = structlog.get_logger(__name__)


class _Waiting(NamedTuple):
    command: Command[Any]
    future: asyncio.Future[Any]


class _Lost(Exception):
    """The connection broke before the commit was asked for: nothing happened."""


class GroupCommit:
    """Executes commands from an event loop on one writer thread with one connection.

    Nothing authoritative is kept between batches, so any number of processes may write.
    """

    def __init__(
        self,
        database_url: str,
        *,
        on_commit: Callable[[], None] | None = None,
        on_batch: Callable[[int, float], None] | None = None,
        application_name: str = "semalink-ledger",
    ) -> None:
        self._database_url = database_url
        self._application_name = application_name
        self._on_commit = on_commit
        self._on_batch = on_batch
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._store = BatchStore()
        self._connection: psycopg.Connection[Any] | None = None
        self._down_until = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    async def __aenter__(self) -> "GroupCommit":
        """Start the writer thread."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Decide what is waiting, then stop."""
        assert self._thread is not None, "entered before"
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    @property
    def is_available(self) -> bool:
        """Whether the last try to reach the database went well."""
        return self._down_until == 0.0

    @property
    def waiting_count(self) -> int:
        """How many commands wait to be taken into a batch."""
        return self._queue.qsize()

    async def execute(self, command: Command[T]) -> Answer[T]:
        """Decide and commit; raises DomainError when refused, LedgerUnavailable when not decided."""
        assert self._loop is not None, "entered before"
        if self._queue.qsize() >= QUEUE_MAX:
            msg = "Too many commands are waiting."
            raise LedgerUnavailable(msg)
        if time.monotonic() < self._down_until:
            msg = "The database is away."
            raise LedgerUnavailable(msg)
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.put(_Waiting(command, future))
        return cast("Answer[T]", await future)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            stopping = self._drain_into(batch)
            self._settle(batch)
            if stopping:
                break
        if self._connection is not None:
            self._connection.close()

    def _drain_into(self, batch: list[_Waiting]) -> bool:
        while len(batch) < BATCH_MAX:
            try:
                waiting = self._queue.get_nowait()
            except Empty:
                return False
            if waiting is None:
                return True
            batch.append(waiting)
        return False

    def _settle(self, batch: Sequence[_Waiting]) -> None:
        started = time.perf_counter()
        try:
            outcomes = self._decide([waiting.command for waiting in batch])
        except LedgerUnavailable as away:
            outcomes = [away] * len(batch)
        except Exception as bug:
            # One bad command must not fail its neighbours: each is decided on its own.
            if len(batch) > 1:
                for waiting in batch:
                    self._settle([waiting])
                return
            _log.exception("command_crashed", command=type(batch[0].command).__name__)
            outcomes = [bug]
        if self._on_batch is not None:
            self._on_batch(len(batch), time.perf_counter() - started)
        assert self._loop is not None, "entered before"
        self._loop.call_soon_threadsafe(self._answer, batch, outcomes)

    def _answer(self, batch: Sequence[_Waiting], outcomes: Sequence[Any]) -> None:
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if waiting.future.done():
                continue
            if isinstance(outcome, Exception):
                waiting.future.set_exception(outcome)
            else:
                waiting.future.set_result(outcome)
        if self._on_commit is not None:
            self._on_commit()

    def _decide(self, commands: Sequence[Command[Any]]) -> Sequence[Any]:
        for _ in range(TRIES_MAX):
            try:
                return self._transact(self._connected(), commands)
            except _CONFLICTS:
                self._roll_back()
            except _Lost:
                self._disconnect()
        msg = "Other writers were faster every time."
        raise LedgerUnavailable(msg)

    def _transact(
        self, connection: psycopg.Connection[Any], commands: Sequence[Command[Any]]
    ) -> Sequence[Any]:
        try:
            loaded = self._store.load(connection, commands)
        except _BROKEN as broken:
            if isinstance(broken, _CONFLICTS):
                raise
            raise _Lost from broken
        try:
            decisions = decide_batch(commands, loaded.books, loaded.known)
            if not decisions.events and not decisions.stored:
                connection.execute("ROLLBACK")
                return decisions.outcomes
        except BaseException:
            self._roll_back()
            raise
        try:
            self._store.store(connection, loaded, decisions)
        except _CONFLICTS:
            raise
        except _BROKEN as broken:
            self._disconnect()
            if not self._was_committed(loaded.xid):
                raise _Lost from broken
        except BaseException:
            self._roll_back()
            raise
        return decisions.outcomes

    def _was_committed(self, xid: str) -> bool:
        """Ask the database what became of a transaction whose answer was lost."""
        give_up_at = time.monotonic() + DOUBT_SECONDS_MAX
        while True:
            try:
                row = (
                    self._connected().execute("SELECT pg_xact_status(%s::xid8)", (xid,)).fetchone()
                )
            except (LedgerUnavailable, *_BROKEN):
                self._disconnect()
                row = None
            if row is not None and row[0] != "in progress":
                return bool(row[0] == "committed")
            if time.monotonic() >= give_up_at:
                msg = "The database went away at the commit."
                raise OutcomeInDoubt(msg)
            time.sleep(_RECONNECT_PAUSE_SECONDS)

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            try:
                self._connection = psycopg.connect(
                    self._database_url,
                    autocommit=True,
                    connect_timeout=CONNECT_TIMEOUT_SECONDS,
                    application_name=self._application_name,
                    options="-c idle_in_transaction_session_timeout=5s -c lock_timeout=10s",
                )
            except psycopg.OperationalError as away:
                self._down_until = time.monotonic() + _RECONNECT_PAUSE_SECONDS
                msg = "The database is away."
                raise LedgerUnavailable(msg) from away
            self._down_until = 0.0
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _roll_back(self) -> None:
        try:
            if self._connection is not None:
                self._connection.execute("ROLLBACK")
        except psycopg.Error:
            self._disconnect()
