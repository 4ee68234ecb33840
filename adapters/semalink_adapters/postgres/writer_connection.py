"""The connection of a writer: what its errors mean, and what became of a lost commit."""

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import errors
from psycopg.sql import SQL, Identifier

from semalink.application.ledger import LedgerUnavailable, OutcomeInDoubt
from semalink_adapters.postgres.arrays import accept_packed
from semalink_adapters.postgres.sessions import BOUNDED, CONNECT_TIMEOUT_SECONDS, KEEPALIVES

#: How long an answer that was lost at the commit is asked after.
DOUBT_SECONDS_MAX = 10.0
RECONNECT_PAUSE_SECONDS = 0.2
#: As long as our own patience with a batch. A process that froze keeps its locks no longer.
TRANSACTION_SECONDS_MAX = 10

# Servers before 17 do not know it. The timeout for idle transactions is not enough: a session
# whose pipeline has no end yet is not idle.
_KNOWS_TRANSACTION_TIMEOUT = 170_000
_LIMIT_TRANSACTIONS = "SELECT set_config('transaction_timeout', %s, false)"

# An id that a crash lost may be given again, so a committed transaction is ours only when it
# wrote our row; and until it is given again, asking after it is an error.
_WHAT_BECAME_OF = """
SELECT CASE WHEN %(xid)s::xid8 < pg_current_xact_id() THEN pg_xact_status(%(xid)s::xid8) END,
       EXISTS (
           SELECT FROM {log}
           WHERE originator_id = %(id)s AND originator_version = %(version)s
             AND xid = %(xid)s::xid8 AND state = %(state)s
       )"""


class Fault(Enum):
    """What an error of the database means for the transaction that met it."""

    #: A concurrent writer was faster; decide anew.
    CONFLICT = auto()
    #: The connection is gone; whether a commit happened is not known.
    BROKEN = auto()
    #: The database refuses work for now: no space, no time, only reading.
    UNABLE = auto()
    #: What was asked cannot be done; asking again will not help.
    BUG = auto()


class Witness(NamedTuple):
    """One row that a transaction writes, to recognise it by."""

    log: str
    originator_id: UUID
    version: int
    state: bytes


def fault_of(error: psycopg.Error) -> Fault:
    """Return what an error means."""
    code = error.sqlstate
    if isinstance(
        error, errors.UniqueViolation | errors.DeadlockDetected | errors.SerializationFailure
    ):
        return Fault.CONFLICT
    # The server ends sessions with 57P and 25P0; what the driver notices itself has no code.
    if code is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Fault.BROKEN
    if code is not None and code.startswith(("57P", "08", "25P03", "25P04")):
        return Fault.BROKEN
    if isinstance(error, psycopg.OperationalError | errors.ReadOnlySqlTransaction):
        return Fault.UNABLE
    return Fault.BUG


class WriterConnection:
    """One connection, opened when it is needed; used by one thread."""

    def __init__(self, database_url: str, application_name: str) -> None:
        self._database_url = database_url
        self._application_name = application_name
        self._connection: psycopg.Connection[Any] | None = None
        #: True from a failed try to connect until one goes well.
        self.is_down = False

    def open(self) -> psycopg.Connection[Any]:
        """Return the connection, made anew when there is none; raises LedgerUnavailable."""
        if self._connection is None or self._connection.closed:
            try:
                connection = psycopg.connect(
                    self._database_url,
                    autocommit=True,
                    connect_timeout=CONNECT_TIMEOUT_SECONDS,
                    application_name=self._application_name,
                    options=BOUNDED,
                    target_session_attrs="read-write",
                    **KEEPALIVES,
                )
                _limit_transactions(connection)
            except psycopg.OperationalError as away:
                self.is_down = True
                msg = "The database is away."
                raise LedgerUnavailable(msg) from away
            accept_packed(connection)
            self._connection = connection
            self.is_down = False
        return self._connection

    def close(self) -> None:
        """Give the connection up."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def roll_back(self) -> None:
        """End the transaction without effect, or the connection when that fails."""
        try:
            if self._connection is not None:
                self._connection.execute("ROLLBACK")
        except psycopg.Error:
            self.close()

    def interrupt(self) -> None:
        """Break the connection from another thread, so that a wait for an answer ends."""
        connection = self._connection
        if connection is None:
            return
        with (
            suppress(psycopg.OperationalError, OSError),
            socket.socket(fileno=os.dup(connection.fileno())) as line,
        ):
            line.shutdown(socket.SHUT_RDWR)

    def was_committed(self, xid: str, witness: Witness | None, on_wait: Callable[[], None]) -> bool:
        """Find out what became of a transaction; raises OutcomeInDoubt when nobody can say."""
        give_up_at = time.monotonic() + DOUBT_SECONDS_MAX
        while True:
            outcome = self._ask(xid, witness) if witness else False
            if outcome is not None:
                return outcome
            on_wait()
            if time.monotonic() >= give_up_at:
                msg = "The database went away at the commit."
                raise OutcomeInDoubt(msg)
            time.sleep(RECONNECT_PAUSE_SECONDS)

    def _ask(self, xid: str, witness: Witness) -> bool | None:
        question = SQL(_WHAT_BECAME_OF).format(log=Identifier(witness.log))
        facts = {
            "xid": xid,
            "id": witness.originator_id,
            "version": witness.version,
            "state": witness.state,
        }
        try:
            row = self.open().execute(question, facts).fetchone()
        except (LedgerUnavailable, psycopg.Error):
            self.close()
            return None
        assert row is not None, "the question has one answer"
        status, is_written = row
        return None if status == "in progress" else bool(is_written)


def _limit_transactions(connection: psycopg.Connection[Any]) -> None:
    if connection.info.server_version >= _KNOWS_TRANSACTION_TIMEOUT:
        connection.execute(_LIMIT_TRANSACTIONS, (f"{TRANSACTION_SECONDS_MAX}s",))
