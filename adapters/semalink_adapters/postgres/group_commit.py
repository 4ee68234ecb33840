"""The ledger on PostgreSQL: whatever is waiting is decided together and committed once."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar, cast

import psycopg
import structlog
from psycopg import errors

from semalink.application.ledger import (
    Answer,
    Command,
    Decisions,
    LedgerUnavailable,
    Undecidable,
    decide_batch,
)
from semalink_adapters.postgres.batch import BatchStore, Loaded
from semalink_adapters.postgres.command_queue import CommandQueue, Waiting
from semalink_adapters.postgres.writer_connection import (
    RECONNECT_PAUSE_SECONDS,
    Fault,
    WriterConnection,
    fault_of,
)

T = TypeVar("T")

#: Messages that may wait.
QUEUE_MAX = 8_192
#: A batch that met a concurrent writer is decided anew, at most so often.
TRIES_MAX = 8
#: A batch takes milliseconds. While one takes longer than this, new commands are refused ...
STALLED_SECONDS = 3.0
#: ... and after this the connection is given up, so that those that wait get an answer.
INTERRUPT_SECONDS = 10.0

_log = structlog.get_logger(__name__)


class RefusedByDatabase(Undecidable):
    """The database cannot store what a command decided: a bug, told without any values."""

    def __init__(self, sqlstate: str | None, constraint: str | None) -> None:
        self.sqlstate = sqlstate
        super().__init__(f"The database refused a command: {sqlstate} {constraint or ''}".strip())


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
        store: BatchStore | None = None,
    ) -> None:
        self._on_commit = on_commit
        self._on_batch = on_batch
        self._queue = CommandQueue()
        self._store = store or BatchStore()
        self._connection = WriterConnection(database_url, application_name)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._is_closing = False
        #: When the batch in hand was begun; None between batches.
        self._busy_since: float | None = None

    async def __aenter__(self) -> Self:
        """Start the writer thread."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()
        self._keep_watch()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Decide what is waiting, then stop."""
        assert self._thread is not None, "entered before"
        self._is_closing = True
        self._queue.close()
        await asyncio.to_thread(self._thread.join)
        if self._watch is not None:
            self._watch.cancel()

    @property
    def is_available(self) -> bool:
        """Whether the database answered when it was last needed."""
        return not self._connection.is_down and self._busy_seconds() < STALLED_SECONDS

    @property
    def waiting_count(self) -> int:
        """How many commands wait to be taken into a batch."""
        return len(self._queue)

    async def execute(self, command: Command[T]) -> Answer[T]:
        """Decide and commit; raises DomainError when refused, LedgerUnavailable when undecided."""
        assert self._loop is not None, "entered before"
        if self._is_closing:
            msg = "The ledger is closing."
            raise LedgerUnavailable(msg)
        if self._queue.weight >= QUEUE_MAX:
            msg = "Too many commands are waiting."
            raise LedgerUnavailable(msg)
        if not self.is_available:
            msg = "The database is away."
            raise LedgerUnavailable(msg)
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.put(Waiting(command, future))
        return cast("Answer[T]", await future)

    def _busy_seconds(self) -> float:
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def _keep_watch(self) -> None:
        assert self._loop is not None, "entered before"
        if self._busy_seconds() > INTERRUPT_SECONDS:
            self._connection.interrupt()
        self._watch = self._loop.call_later(1.0, self._keep_watch)

    def _run(self) -> None:
        while not self._queue.is_over:
            batch = self._queue.take(RECONNECT_PAUSE_SECONDS if self._connection.is_down else None)
            if batch:
                self._busy_since = time.monotonic()
                self._settle(batch)
                self._busy_since = None
            if self._connection.is_down:
                self._refuse_waiting()
                self._try_to_connect()
        self._connection.close()

    def _try_to_connect(self) -> None:
        try:
            self._connection.open()
        except LedgerUnavailable:
            return
        _log.info("ledger_reconnected")

    def _refuse_waiting(self) -> None:
        while batch := self._queue.take(0.0):
            self._hand_over(batch, [LedgerUnavailable("The database is away.") for _ in batch])

    def _settle(self, batch: Sequence[Waiting]) -> None:
        started = time.perf_counter()
        try:
            outcomes = self._decide([waiting.command for waiting in batch])
        except LedgerUnavailable as away:
            # One each: an exception that many raise would collect all their tracebacks.
            outcomes = [type(away)(*away.args) for _ in batch]
        except Exception as bug:  # noqa: BLE001 - ADR-0021
            # One bad command must not fail its neighbours: it is cornered by halving.
            if len(batch) > 1:
                middle = len(batch) // 2
                self._settle(batch[:middle])
                self._settle(batch[middle:])
                return
            outcomes = [_crash(batch[0].command, bug)]
        if self._on_batch is not None:
            self._on_batch(len(batch), time.perf_counter() - started)
        self._hand_over(batch, outcomes)

    def _hand_over(self, batch: Sequence[Waiting], outcomes: Sequence[Any]) -> None:
        assert self._loop is not None, "entered before"
        self._loop.call_soon_threadsafe(self._answer, batch, outcomes)

    def _answer(self, batch: Sequence[Waiting], outcomes: Sequence[Any]) -> None:
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
        conflict: psycopg.Error | None = None
        for _ in range(TRIES_MAX):
            try:
                return self._transact(commands)
            except psycopg.Error as error:
                fault = fault_of(error)
                if fault is Fault.BUG:
                    raise
                if fault is Fault.UNABLE:
                    _log.warning("ledger_unable", sqlstate=error.sqlstate)
                    msg = "The database cannot store anything now."
                    raise LedgerUnavailable(msg) from error
                conflict = error
        if isinstance(conflict, errors.UniqueViolation):
            # Nobody is faster so often: something is there that must not be.
            raise conflict
        msg = "Other writers were faster every time."
        raise LedgerUnavailable(msg)

    def _transact(self, commands: Sequence[Command[Any]]) -> Sequence[Any]:
        connection = self._connection.open()
        try:
            loaded = self._store.load(connection, commands)
            decisions = decide_batch(commands, loaded.books, loaded.known)
            if decisions.events or decisions.stored or decisions.refusals:
                self._write(connection, loaded, decisions)
            else:
                connection.execute("ROLLBACK")
        except BaseException:
            self._connection.roll_back()
            raise
        return decisions.outcomes

    def _write(
        self, connection: psycopg.Connection[Any], loaded: Loaded, decisions: Decisions
    ) -> None:
        try:
            self._store.store(connection, loaded, decisions)
        except psycopg.Error as error:
            if fault_of(error) is not Fault.BROKEN:
                raise
            self._connection.close()
            witness = self._store.witness_of(decisions)
            _log.warning("commit_in_doubt", xid=loaded.xid)
            if not self._connection.was_committed(loaded.xid, witness, self._refuse_waiting):
                raise


def _crash(command: Command[Any], bug: Exception) -> Exception:
    name = type(command).__name__
    if isinstance(bug, psycopg.Error):
        # Its own words quote values, which may be numbers or texts.
        constraint = bug.diag.constraint_name
        _log.error("command_crashed", command=name, sqlstate=bug.sqlstate, constraint=constraint)
        return RefusedByDatabase(bug.sqlstate, constraint)
    _log.error("command_crashed", command=name, exc_info=bug)
    return bug
