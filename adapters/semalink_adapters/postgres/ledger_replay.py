"""Rebuilds every balance and open reservation from the entries, beside those that are kept."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from semalink.application.ledger_audit import EFFECTS, decode_state

_FETCH = 10_000

_SELECT_HEADS = """
SELECT account_id, version, posted_micros, reserved_micros, credit_limit_micros
FROM credit_heads"""

_SELECT_OPEN = "SELECT reservation_id, account_id, amount_micros FROM open_reservations"

_SCRATCH = """
CREATE SCHEMA {schema};
CREATE UNLOGGED TABLE {schema}.heads (
    account_id uuid NOT NULL, version bigint NOT NULL, posted_micros bigint NOT NULL,
    reserved_micros bigint NOT NULL, credit_limit_micros bigint NOT NULL);
CREATE UNLOGGED TABLE {schema}.heads_kept (LIKE {schema}.heads);
CREATE UNLOGGED TABLE {schema}.reservations (
    reservation_id uuid NOT NULL, account_id uuid NOT NULL, amount_micros bigint NOT NULL);
CREATE UNLOGGED TABLE {schema}.reservations_kept (LIKE {schema}.reservations)"""

_SELECT_ENTRIES = """
SELECT originator_id, originator_version, topic, state FROM ledger_entries
ORDER BY originator_id, originator_version"""

_COMPARE = """
SELECT 'balance', account_id, NULL::uuid,
       concat_ws(' ', r.version, r.posted_micros, r.reserved_micros, r.credit_limit_micros),
       concat_ws(' ', k.version, k.posted_micros, k.reserved_micros, k.credit_limit_micros)
FROM {schema}.heads AS r FULL JOIN {schema}.heads_kept AS k USING (account_id)
WHERE (r.version, r.posted_micros, r.reserved_micros, r.credit_limit_micros) IS DISTINCT FROM
      (k.version, k.posted_micros, k.reserved_micros, k.credit_limit_micros)
UNION ALL
SELECT 'reservation', COALESCE(r.account_id, k.account_id), reservation_id,
       r.amount_micros::text, k.amount_micros::text
FROM {schema}.reservations AS r FULL JOIN {schema}.reservations_kept AS k USING (reservation_id)
WHERE (r.account_id, r.amount_micros) IS DISTINCT FROM (k.account_id, k.amount_micros)
ORDER BY 2, 3 NULLS FIRST"""


class Difference(NamedTuple):
    """Something that the entries and the tables disagree upon."""

    kind: str
    account_id: UUID
    reservation_id: UUID | None
    #: Of a balance: version, posted, reserved and limit in micros; None where there is none.
    replayed: str | None
    kept: str | None


class Replay:
    """A scratch schema, filled from one snapshot.

    Reading and writing are two connections: a transaction that writes has an id, and would hold
    back every reader of the logs for as long as it reads (ADR-0007).
    """

    def __init__(self, reader: psycopg.Connection[Any], writer: psycopg.Connection[Any]) -> None:
        self._reader = reader
        self._writer = writer
        self.schema = f"ledger_replay_{uuid4().hex[:12]}"

    def run(self, advance: Callable[[int], None]) -> None:
        """Fill the schema; the reader must be in a snapshot and the writer in autocommit."""
        self._writer.execute(self._sql(_SCRATCH))
        self._copy("heads_kept", _SELECT_HEADS)
        self._copy("reservations_kept", _SELECT_OPEN)
        heads: list[Sequence[Any]] = []
        reservations: list[Sequence[Any]] = []
        for account_id, rows in groupby(self._stream(_SELECT_ENTRIES), itemgetter(0)):
            head, still_open = _replayed(account_id, rows, advance)
            heads.append(head)
            reservations.extend(still_open)
            if len(heads) + len(reservations) >= _FETCH:
                self._store("heads", heads)
                self._store("reservations", reservations)
        self._store("heads", heads)
        self._store("reservations", reservations)

    def differences(self) -> Iterator[Difference]:
        """Compare what was replayed with what is kept."""
        with self._writer.transaction(), self._writer.cursor("differences") as cursor:
            cursor.execute(self._sql(_COMPARE))
            for row in cursor:
                yield Difference(*row)

    def drop(self) -> None:
        """Remove the schema."""
        self._writer.execute(self._sql("DROP SCHEMA IF EXISTS {schema} CASCADE"))

    def _copy(self, table: str, statement: str) -> None:
        page: list[Sequence[Any]] = []
        for row in self._stream(statement):
            page.append(row)
            if len(page) >= _FETCH:
                self._store(table, page)
        self._store(table, page)

    def _store(self, table: str, rows: list[Sequence[Any]]) -> None:
        target = SQL("COPY {}.{} FROM STDIN").format(Identifier(self.schema), Identifier(table))
        with self._writer.cursor() as cursor, cursor.copy(target) as copy:
            for row in rows:
                copy.write_row(row)
        rows.clear()

    def _stream(self, statement: Any) -> Iterator[Any]:
        with self._reader.cursor("replay") as cursor:
            cursor.itersize = _FETCH
            cursor.execute(statement, binary=True)
            yield from cursor

    def _sql(self, statement: Any) -> Composed:
        return SQL(statement).format(schema=Identifier(self.schema))


def _replayed(
    account_id: UUID, rows: Iterator[Any], advance: Callable[[int], None]
) -> tuple[Sequence[Any], list[Sequence[Any]]]:
    version = posted = reserved = limit = count = 0
    still_open: dict[UUID | None, int] = {}
    for _, version, topic, raw in rows:  # noqa: B007 - the last one counts
        state = decode_state(raw)
        effect = EFFECTS[topic]
        posted += effect.posted * state.amount_micros
        reserved += effect.reserved * state.amount_micros
        if effect.sets_limit:
            limit = state.credit_limit_micros
        elif effect.opens:
            still_open[state.reservation_id] = state.amount_micros
        elif effect.resolves:
            left = still_open.pop(state.reservation_id, 0) - state.amount_micros
            if left:
                still_open[state.reservation_id] = left
        count += 1
        if not count % _FETCH:
            advance(_FETCH)
    advance(count % _FETCH)
    head = (account_id, version, posted, reserved, limit)
    return head, [(one, account_id, amount) for one, amount in still_open.items()]
