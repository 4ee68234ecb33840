"""One batch as SQL: lock and load in one round trip, store and commit in another."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent

from semalink.application.ledger import Books, Command, Decisions, Needs, StoredOutcome
from semalink.domain.account import Account
from semalink.domain.credit_account import CreditAccount
from semalink.domain.message import Message
from semalink_adapters.postgres.arrays import (
    Packed,
    pack_bigints,
    pack_blobs,
    pack_columns,
    pack_texts,
    pack_uuids,
)
from semalink_adapters.postgres.hash_chain import GENESIS, entry_hash
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.recorder import (
    ADMIN_EVENTS,
    LEDGER_ENTRIES,
    MESSAGE_EVENTS,
    Datastore,
    LogRecorder,
)
from semalink_adapters.postgres.tables import RowChanges
from semalink_adapters.postgres.writer_connection import Witness

LOGS = (LEDGER_ENTRIES, MESSAGE_EVENTS, ADMIN_EVENTS)

# Not FOR UPDATE: that would give the transaction its id before it has read what it builds upon,
# and readers, who go by that id, would then meet an event before the one that it follows
# (ADR-0007). A lock of this kind gives no id.
LOCK_ACCOUNTS = "SELECT pg_advisory_xact_lock(key) FROM unnest(%b::bigint[]) AS key"

LOAD_HEADS = """
SELECT account_id, version, posted_micros, reserved_micros, credit_limit_micros, entry_hash
FROM credit_heads WHERE account_id = ANY(%b)"""

LOAD_RESERVATIONS = """
SELECT reservation_id, account_id, amount_micros
FROM open_reservations WHERE reservation_id = ANY(%b)"""

# A join, because a list of ids would search every partition for every id.
LOAD_STREAMS = """
SELECT e.originator_id, e.topic, e.state
FROM unnest(%b::uuid[]) AS asked (id) JOIN {log} AS e ON e.originator_id = asked.id
ORDER BY e.originator_id, e.originator_version"""

LOAD_MESSAGES = LOAD_STREAMS.format(log=MESSAGE_EVENTS)
LOAD_ACCOUNTS = LOAD_STREAMS.format(log=ADMIN_EVENTS)

LOAD_OUTCOMES = """
SELECT k.scope, k.key, k.fingerprint, k.answer,
       k.refusal_code, k.refusal_detail, k.refusal_pointer
FROM idempotency_keys AS k
JOIN unnest(%b::uuid[], %b::text[]) AS asked (scope, key)
    ON k.scope = asked.scope AND k.key = asked.key"""

STORE_HEADS = """
INSERT INTO credit_heads
    (account_id, version, posted_micros, reserved_micros, credit_limit_micros, entry_hash)
SELECT * FROM unnest
    (%b::uuid[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bytea[])
ON CONFLICT (account_id) DO UPDATE SET
    version = excluded.version,
    posted_micros = excluded.posted_micros,
    reserved_micros = excluded.reserved_micros,
    credit_limit_micros = excluded.credit_limit_micros,
    entry_hash = excluded.entry_hash"""

STORE_OUTCOMES = """
INSERT INTO idempotency_keys
    (scope, key, fingerprint, answer, refusal_code, refusal_detail, refusal_pointer)
SELECT * FROM unnest
    (%b::uuid[], %b::text[], %b::bytea[], %b::bytea[], %b::text[], %b::text[], %b::text[])"""

_HEAD_COLUMNS = (
    pack_uuids, pack_bigints, pack_bigints, pack_bigints, pack_bigints, pack_blobs,
)  # fmt: skip
_OUTCOME_COLUMNS = (
    pack_uuids, pack_texts, pack_blobs, pack_blobs, pack_texts, pack_texts, pack_texts,
)  # fmt: skip

#: Snapshots carry no time of their own; nothing decides by this one.
_RESTORED_AT = datetime(2020, 1, 1, tzinfo=UTC)


class Loaded(NamedTuple):
    """What the first round trip brought."""

    #: The transaction's id, to ask after it when the connection breaks at the commit.
    xid: str
    books: Books
    known: dict[tuple[UUID, str], StoredOutcome]
    messages: dict[UUID, Message]
    credit_accounts: dict[UUID, CreditAccount]
    hashes: dict[UUID, bytes]


class BatchStore:
    """Loads what a batch needs and stores what it came to, over one connection."""

    def __init__(self) -> None:
        # The recorders only lend their statements here; this pool is never opened.
        lender = Datastore("")
        self._ledger = LogRecorder(lender, LEDGER_ENTRIES)
        self._messages = LogRecorder(lender, MESSAGE_EVENTS)
        self._accounts = LogRecorder(lender, ADMIN_EVENTS)
        self._mapper = EventMapper()

    def load(self, connection: psycopg.Connection[Any], commands: Sequence[Command[Any]]) -> Loaded:
        """Begin a transaction, lock the credit accounts in id order and load the rest."""
        needs = Needs()
        slots: list[tuple[UUID, str]] = []
        for command in commands:
            command.needs(needs)
            idempotency = command.idempotency
            if idempotency is not None:
                slots.append((idempotency.scope, idempotency.key))
        with connection.pipeline():
            connection.execute("BEGIN")
            credit_account_ids = list(needs.credit_accounts)
            if credit_account_ids:
                keys = pack_bigints(sorted(map(lock_key_of, credit_account_ids)))
                connection.execute(LOCK_ACCOUNTS, (keys,), prepare=True)
            heads = _ask(connection, LOAD_HEADS, credit_account_ids)
            reservations = _ask(connection, LOAD_RESERVATIONS, list(needs.reservations))
            messages = _ask(connection, LOAD_MESSAGES, list(needs.messages))
            accounts = _ask(connection, LOAD_ACCOUNTS, list(needs.accounts))
            outcomes = None
            if slots:
                scopes, keys_asked = zip(*slots, strict=True)
                asked = (pack_uuids(scopes), pack_texts(keys_asked))
                outcomes = connection.execute(LOAD_OUTCOMES, asked, prepare=True)
            # Last: whatever was read was written under a smaller id.
            xid = connection.execute("SELECT pg_current_xact_id()::text", prepare=True)
        row = xid.fetchone()
        assert row is not None, "the transaction has an id"
        credit_accounts, hashes = _read_heads(heads, reservations)
        loaded_messages = {message.id: message for message in self._read(messages, Message)}
        books = Books(
            credit_accounts=credit_accounts,
            messages=loaded_messages,
            accounts={account.id: account for account in self._read(accounts, Account)},
        )
        known = _read_outcomes(outcomes)
        return Loaded(row[0], books, known, loaded_messages, credit_accounts, hashes)

    def store(
        self, connection: psycopg.Connection[Any], loaded: Loaded, decisions: Decisions
    ) -> None:
        """Append the events, bring the tables up to date and commit."""
        events = _by_log(decisions.events)
        with connection.pipeline(), connection.cursor() as curs:
            # Each statement leaves as soon as it is ready, and the server works on it beside us.
            if decisions.stored:
                curs.execute(STORE_OUTCOMES, _outcome_columns(decisions.stored), prepare=True)
            if events[MESSAGE_EVENTS]:
                self._messages.write(curs, self._map(events[MESSAGE_EVENTS]))
            if events[LEDGER_ENTRIES]:
                self._store_entries(curs, loaded, events[LEDGER_ENTRIES])
            if events[ADMIN_EVENTS]:
                self._accounts.write(curs, self._map(events[ADMIN_EVENTS]))
            changes = RowChanges(loaded.messages)
            changes.fold(decisions.events)
            changes.write(curs)
            curs.execute("COMMIT")

    def witness_of(self, decisions: Decisions) -> Witness | None:
        """Return a row that ``store`` writes; None when there are only outcomes to store."""
        if not decisions.events:
            return None
        event: Any = decisions.events[0]
        state = self._mapper.to_stored_event(event).state
        return Witness(_log_of(event), event.originator_id, event.originator_version, state)

    def _map(self, events: Sequence[Any]) -> list[StoredEvent]:
        return [self._mapper.to_stored_event(event) for event in events]

    def _store_entries(
        self, curs: psycopg.Cursor[Any], loaded: Loaded, events: Sequence[Any]
    ) -> None:
        hashes = loaded.hashes
        entries = self._map(events)
        entry_hashes = []
        for event, entry in zip(events, entries, strict=True):
            account_id = event.originator_id
            hashes[account_id] = entry_hash(hashes.get(account_id, GENESIS), entry)
            entry_hashes.append(hashes[account_id])
        message_ids = [getattr(event, "reservation_id", None) for event in events]
        self._ledger.write(curs, entries, message_ids=message_ids, entry_hashes=entry_hashes)
        changed = {event.originator_id for event in events}
        heads = [
            (
                account.id,
                account.version,
                account.posted_micros,
                account.reserved_micros,
                account.credit_limit_micros,
                hashes[account.id],
            )
            for account in loaded.credit_accounts.values()
            if account.id in changed
        ]
        curs.execute(STORE_HEADS, pack_columns(_HEAD_COLUMNS, heads), prepare=True)

    def _read(self, rows: Any, kind: type[Any]) -> list[Any]:
        aggregates: list[Any] = []
        current: Any = None
        for originator_id, topic, state in rows or ():
            event = self._mapper.read(topic, state)
            if current is None or current.id != originator_id:
                current = event.mutate(None)
                assert isinstance(current, kind), "a log holds streams of one aggregate"
                aggregates.append(current)
            else:
                event.mutate(current)
        return aggregates


def lock_key_of(account_id: UUID) -> int:
    """Return the key of an account's lock: its random half, negative, so apart from our others."""
    return int.from_bytes(account_id.bytes[8:], signed=True)


def _ask(connection: psycopg.Connection[Any], statement: str, ids: list[UUID]) -> Any:
    return connection.execute(statement, (pack_uuids(ids),), prepare=True) if ids else None


def _by_log(events: Sequence[Any]) -> dict[str, list[Any]]:
    logs: dict[str, list[Any]] = {log: [] for log in LOGS}
    for event in events:
        logs[_log_of(event)].append(event)
    return logs


def _log_of(event: Any) -> str:
    if isinstance(event, Message.Event):
        return MESSAGE_EVENTS
    return LEDGER_ENTRIES if isinstance(event, CreditAccount.Event) else ADMIN_EVENTS


def _read_heads(
    heads: Any, reservations: Any
) -> tuple[dict[UUID, CreditAccount], dict[UUID, bytes]]:
    credit_accounts: dict[UUID, CreditAccount] = {}
    hashes: dict[UUID, bytes] = {}
    for account_id, version, posted, reserved, limit, sealed in heads or ():
        credit_accounts[account_id] = CreditAccount.restore(
            account_id,
            version,
            _RESTORED_AT,
            posted_micros=posted,
            reserved_micros=reserved,
            credit_limit_micros=limit,
        )
        hashes[account_id] = sealed
    for reservation_id, account_id, amount_micros in reservations or ():
        if account_id in credit_accounts:
            credit_accounts[account_id].open_reservations[reservation_id] = amount_micros
    return credit_accounts, hashes


def _read_outcomes(outcomes: Any) -> dict[tuple[UUID, str], StoredOutcome]:
    known: dict[tuple[UUID, str], StoredOutcome] = {}
    for scope, key, fingerprint, answer, code, detail, pointer in outcomes or ():
        refusal = None if code is None else (code, detail, pointer)
        known[(scope, key)] = StoredOutcome(fingerprint, answer, refusal)
    return known


def _outcome_columns(stored: dict[tuple[UUID, str], StoredOutcome]) -> list[Packed]:
    nothing = (None, None, None)
    rows = [
        (scope, key, outcome.fingerprint, outcome.answer, *(outcome.refusal or nothing))
        for (scope, key), outcome in stored.items()
    ]
    return pack_columns(_OUTCOME_COLUMNS, rows)
