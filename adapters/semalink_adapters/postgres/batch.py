"""One batch as SQL: lock and load in one round trip, store and commit in another."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import StoredEvent

from semalink.application.ledger import Books, Command, Decisions, Needs, StoredOutcome
from semalink.domain.credit_account import CreditAccount, Spending
from semalink.domain.credit_entries import OnBehalf, Reservation
from semalink.domain.message import Message
from semalink.domain.webhook_delivery import WebhookDelivery
from semalink_adapters.postgres.arrays import (
    Packed,
    pack_bigints,
    pack_blobs,
    pack_booleans,
    pack_columns,
    pack_texts,
    pack_uuids,
)
from semalink_adapters.postgres.bundle import Bundle
from semalink_adapters.postgres.hash_chain import GENESIS, entry_hash
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.opt_out_reads import ask_opted_out, read_opted_out
from semalink_adapters.postgres.recorder import (
    ADMIN_EVENTS,
    LEDGER_ENTRIES,
    MESSAGE_EVENTS,
    WEBHOOK_EVENTS,
    Datastore,
    LogRecorder,
)
from semalink_adapters.postgres.tables import RowChanges
from semalink_adapters.postgres.webhook_changes import WebhookChanges
from semalink_adapters.postgres.writer_connection import Witness

LOGS = (LEDGER_ENTRIES, MESSAGE_EVENTS, ADMIN_EVENTS, WEBHOOK_EVENTS)

# Not FOR UPDATE: that would give the transaction its id before it has read what it builds upon,
# and readers, who go by that id, would then meet an event before the one that it follows
# (ADR-0007). A lock of this kind gives no id.
LOCK_ACCOUNTS = "SELECT pg_advisory_xact_lock(key) FROM unnest(%b::bigint[]) AS key"

# Heads, stored outcomes and the transaction's id, in this order: the id is given after the
# snapshot was taken, so whatever was read was written under a smaller one.
LOAD_HEADS = """
SELECT account_id, version, posted_micros, reserved_micros, credit_limit_micros, is_low, entry_hash,
       NULL::uuid, NULL::text, NULL::bytea, NULL::bytea, NULL::text, NULL::text, NULL::text
FROM credit_heads WHERE account_id = ANY(%b)
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       k.scope, k.key, k.fingerprint, k.answer,
       k.refusal_code, k.refusal_detail, k.refusal_pointer
FROM unnest(%b::uuid[], %b::text[]) AS asked (scope, key)
JOIN idempotency_keys AS k ON k.scope = asked.scope AND k.key = asked.key
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, pg_current_xact_id()::text, NULL, NULL, NULL, NULL, NULL"""

LOAD_RESERVATIONS = """
SELECT reservation_id, account_id, amount_micros, expires_at,
       sub_account_id, price_micros, spending_month, campaign_id
FROM open_reservations WHERE reservation_id = ANY(%b)"""

LOAD_SPENDING = """
SELECT asked.account_id, asked.month, a.billing_account_id, a.spending_cap_micros,
       COALESCE(s.spent_micros, 0)
FROM unnest(%b::uuid[], %b::text[]) AS asked (account_id, month)
JOIN accounts AS a ON a.account_id = asked.account_id
LEFT JOIN customer_spending AS s
    ON s.sub_account_id = asked.account_id AND s.month = asked.month"""

# A join, because a list of ids would search every partition for every id.
LOAD_STREAMS = """
SELECT e.originator_id, e.topic, e.state
FROM unnest(%b::uuid[]) AS asked (id) JOIN {log} AS e ON e.originator_id = asked.id
ORDER BY e.originator_id, e.originator_version"""

LOAD_MESSAGES = LOAD_STREAMS.format(log=MESSAGE_EVENTS)
LOAD_SETTINGS = LOAD_STREAMS.format(log=ADMIN_EVENTS)
LOAD_DELIVERIES = LOAD_STREAMS.format(log=WEBHOOK_EVENTS)

STORE_HEADS = """
INSERT INTO credit_heads
    (account_id, version, posted_micros, reserved_micros, credit_limit_micros, is_low, entry_hash)
SELECT * FROM unnest
    (%b::uuid[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bool[], %b::bytea[])
ON CONFLICT (account_id) DO UPDATE SET
    version = excluded.version,
    posted_micros = excluded.posted_micros,
    reserved_micros = excluded.reserved_micros,
    credit_limit_micros = excluded.credit_limit_micros,
    is_low = excluded.is_low,
    entry_hash = excluded.entry_hash"""

STORE_OUTCOMES = """
INSERT INTO idempotency_keys
    (scope, key, fingerprint, answer, refusal_code, refusal_detail, refusal_pointer)
SELECT * FROM unnest
    (%b::uuid[], %b::text[], %b::bytea[], %b::bytea[], %b::text[], %b::text[], %b::text[])"""

_HEAD_COLUMNS = (
    pack_uuids, pack_bigints, pack_bigints, pack_bigints, pack_bigints, pack_booleans, pack_blobs,
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
    deliveries: dict[UUID, WebhookDelivery]
    credit_accounts: dict[UUID, CreditAccount]
    hashes: dict[UUID, bytes]


class BatchStore:
    """Loads what a batch needs and stores what it came to, over one connection."""

    def __init__(self) -> None:
        # The recorders only lend their statements here; this pool is never opened.
        lender = Datastore("")
        self._recorders = {log: LogRecorder(lender, log) for log in LOGS}
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
            reservations = _ask(connection, LOAD_RESERVATIONS, list(needs.reservations))
            messages = _ask(connection, LOAD_MESSAGES, list(needs.messages))
            settings = _ask(connection, LOAD_SETTINGS, list(needs.settings))
            deliveries = _ask(connection, LOAD_DELIVERIES, list(needs.deliveries))
            spending = _ask_spending(connection, needs)
            opted_out = ask_opted_out(connection, needs)
            # Last, because it gives the transaction its id.
            asked = (
                pack_uuids(credit_account_ids),
                pack_uuids([scope for scope, _ in slots]),
                pack_texts([key for _, key in slots]),
            )
            heads = connection.execute(LOAD_HEADS, asked, prepare=True, binary=True)
        xid, credit_accounts, hashes, known = _read_heads(heads)
        _read_reservations(reservations, credit_accounts)
        _read_spending(spending, credit_accounts)
        loaded_messages = {message.id: message for message in self._read(messages, Message)}
        loaded_deliveries = {one.id: one for one in self._read(deliveries, WebhookDelivery)}
        books = Books(
            credit_accounts=credit_accounts,
            messages=loaded_messages,
            others=self._read(settings, Aggregate),
            deliveries=loaded_deliveries,
            opted_out=read_opted_out(opted_out),
        )
        return Loaded(
            xid, books, known, loaded_messages, loaded_deliveries, credit_accounts, hashes
        )

    def store(
        self, connection: psycopg.Connection[Any], loaded: Loaded, decisions: Decisions
    ) -> None:
        """Append the events, bring the tables up to date and commit."""
        webhooks = WebhookChanges(loaded.deliveries, decisions.sealed_secrets)
        changes = RowChanges(loaded.messages, webhooks)
        changes.fold(decisions.events)
        changes.refusals = decisions.refusals
        bundle = Bundle()
        for log, events in _by_log(decisions.events).items():
            if log == LEDGER_ENTRIES:
                self._add_entries(bundle, loaded, events)
            elif events:
                recorder = self._recorders[log]
                bundle.add(recorder.insertion, recorder.columns(self._map(events)))
        if decisions.stored:
            bundle.add(STORE_OUTCOMES, _outcome_columns(decisions.stored))
        changes.add_to(bundle)
        with connection.pipeline(), connection.cursor() as curs:
            bundle.send(curs)
            changes.write(curs)
            curs.execute("COMMIT")

    def witness_of(self, decisions: Decisions) -> Witness | None:
        """Return a row that ``store`` writes; None when there are only outcomes to store."""
        if not decisions.events:
            return None
        event: Any = decisions.events[0]
        state = self._mapper.to_stored_event(event).state
        return Witness(_log_of(event), event.originator_id, event.originator_version, state)

    def _seal(self, previous: bytes, entry: StoredEvent) -> bytes:
        return entry_hash(previous, entry)

    def _map(self, events: Sequence[Any]) -> list[StoredEvent]:
        return [self._mapper.to_stored_event(event) for event in events]

    def _add_entries(self, bundle: Bundle, loaded: Loaded, events: Sequence[Any]) -> None:
        if not events:
            return
        hashes = loaded.hashes
        entries = self._map(events)
        entry_hashes = []
        for event, entry in zip(events, entries, strict=True):
            account_id = event.originator_id
            hashes[account_id] = self._seal(hashes.get(account_id, GENESIS), entry)
            entry_hashes.append(hashes[account_id])
        message_ids = [filed_under(event) for event in events]
        recorder = self._recorders[LEDGER_ENTRIES]
        bundle.add(
            recorder.insertion,
            recorder.columns(entries, message_ids=message_ids, entry_hashes=entry_hashes),
        )
        changed = {event.originator_id for event in events}
        heads = [
            (
                account.id,
                account.version,
                account.posted_micros,
                account.reserved_micros,
                account.credit_limit_micros,
                account.is_low,
                hashes[account.id],
            )
            for account in loaded.credit_accounts.values()
            if account.id in changed
        ]
        bundle.add(STORE_HEADS, pack_columns(_HEAD_COLUMNS, heads))

    def _read(self, rows: Any, kind: Any) -> list[Any]:
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


def filed_under(entry: Any) -> UUID | None:
    """Return the message or the campaign whose history an entry is part of."""
    message_id: UUID | None = getattr(entry, "message_id", None)
    return message_id or getattr(entry, "reservation_id", None)


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
    if isinstance(event, WebhookDelivery.Event):
        return WEBHOOK_EVENTS
    return LEDGER_ENTRIES if isinstance(event, CreditAccount.Event) else ADMIN_EVENTS


def _read_heads(
    rows: Any,
) -> tuple[
    str, dict[UUID, CreditAccount], dict[UUID, bytes], dict[tuple[UUID, str], StoredOutcome]
]:
    xid = ""
    credit_accounts: dict[UUID, CreditAccount] = {}
    hashes: dict[UUID, bytes] = {}
    known: dict[tuple[UUID, str], StoredOutcome] = {}
    for row in rows:
        account_id, version, posted, reserved, limit, is_low, sealed, scope, key, *outcome = row
        if account_id is not None:
            credit_accounts[account_id] = CreditAccount.restore(
                account_id,
                version,
                _RESTORED_AT,
                posted_micros=posted,
                reserved_micros=reserved,
                credit_limit_micros=limit,
                is_low=is_low,
            )
            hashes[account_id] = sealed
        elif scope is not None:
            fingerprint, answer, code, detail, pointer = outcome
            refusal = None if code is None else (code, detail, pointer)
            known[(scope, key)] = StoredOutcome(fingerprint, answer, refusal)
        else:
            xid = key
    assert xid, "the transaction has an id"
    return xid, credit_accounts, hashes, known


def _ask_spending(connection: psycopg.Connection[Any], needs: Needs) -> Any:
    if not needs.spending:
        return None
    accounts, months = zip(*needs.spending, strict=True)
    asked = (pack_uuids(accounts), pack_texts(months))
    return connection.execute(LOAD_SPENDING, asked, prepare=True)


def _read_reservations(rows: Any, credit_accounts: dict[UUID, CreditAccount]) -> None:
    for reservation_id, account_id, amount_micros, expires_at, *behalf, campaign_id in rows or ():
        if account_id in credit_accounts:
            on_behalf = OnBehalf(*behalf) if behalf[0] else None
            credit_accounts[account_id].open_reservations[reservation_id] = Reservation(
                amount_micros, expires_at, on_behalf, campaign_id
            )


def _read_spending(rows: Any, credit_accounts: dict[UUID, CreditAccount]) -> None:
    for sub_account_id, month, payer_id, cap_micros, spent_micros in rows or ():
        if payer_id in credit_accounts:
            spending = Spending(cap_micros, spent_micros)
            credit_accounts[payer_id].spending[sub_account_id, month] = spending


def _outcome_columns(stored: dict[tuple[UUID, str], StoredOutcome]) -> list[Packed]:
    nothing = (None, None, None)
    rows = [
        (scope, key, outcome.fingerprint, outcome.answer, *(outcome.refusal or nothing))
        for (scope, key), outcome in stored.items()
    ]
    return pack_columns(_OUTCOME_COLUMNS, rows)
