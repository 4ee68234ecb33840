"""A ledger over a fresh database, and one-line ways to work with both."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.delivery_reports import RecordReport
from semalink.application.ledger import Answer, Idempotency, Ledger
from semalink.application.message_view import MessageView
from semalink.application.ports import DeliveryReport, Receipt, ReportState, SendFailed
from semalink.application.sending import AcceptMessage
from semalink.application.submission import (
    Job,
    Policy,
    RecordReceipt,
    RecordRefusal,
    RecordUnknownOutcome,
    StartSubmission,
)
from semalink.domain.account import Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount
from semalink.domain.draft import Draft
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.hash_chain import GENESIS
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.queries import open_pool

PRICE_MICROS = 1_000_000
RECIPIENT = "+254712345678"


class Desk:
    """Asks a ledger for what a test wants, and fills in what does not matter to it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._numbers = count(1)

    def cause(self, actor: str = "key:desk") -> Cause:
        return Cause(actor, datetime.now(UTC), f"req_{next(self._numbers)}")

    async def open_account(self, message_count: int = 0) -> UUID:
        """Open an account with credits for so many messages."""
        account_id = uuid7()
        await self.ledger.execute(
            OpenAccount(account_id, "Desk", Kind.DIRECT, Tier.STARTER, self.cause())
        )
        if message_count:
            reference = f"payment-{account_id.hex}"
            amount_micros = message_count * PRICE_MICROS
            await self.ledger.execute(TopUp(account_id, amount_micros, reference, self.cause()))
        return account_id

    def accepting(self, account_id: UUID, key: str | None = None, **changes: Any) -> AcceptMessage:
        cause = self.cause()
        draft = Draft(
            account_id=account_id,
            billing_account_id=account_id,
            mode="live",
            to=RECIPIENT,
            country="KE",
            network="safaricom",
            text="Hello",
            sender="DESK",
            lane="normal",
            encoding="GSM-7",
            segments=1,
            price_micros=PRICE_MICROS,
            expires_at=cause.at + timedelta(hours=24),
            metadata={"order": "17"},
        )
        draft = replace(draft, **changes)
        fingerprint = hashlib.sha256(draft.text.encode()).digest()
        idempotency = Idempotency(account_id, key, fingerprint) if key else None
        return AcceptMessage(uuid7(), account_id, draft, cause, idempotency)

    async def accept(
        self, account_id: UUID, key: str | None = None, **changes: Any
    ) -> Answer[MessageView]:
        return await self.ledger.execute(self.accepting(account_id, key, **changes))

    async def accept_job(self, account_id: UUID, **changes: Any) -> Job:
        command = self.accepting(account_id, **changes)
        await self.ledger.execute(command)
        return Job(command.message_id, account_id, account_id)

    async def start(self, job: Job) -> None:
        await self.ledger.execute(StartSubmission(job, None, Policy(), self.cause("worker:sms")))

    async def take_receipt(self, job: Job, reference: str) -> None:
        cause = self.cause("worker:sms")
        receipt = Receipt(reference, cost="KES 0.80")
        await self.ledger.execute(RecordReceipt(job, 1, "celcom", receipt, cause))

    async def submit(self, job: Job, reference: str) -> None:
        await self.start(job)
        await self.take_receipt(job, reference)

    async def refuse(self, job: Job, failure: SendFailed, attempt: int = 1) -> None:
        cause = self.cause("worker:sms")
        await self.ledger.execute(RecordRefusal(job, attempt, failure, None, Policy(), cause))

    async def lose_answer(self, job: Job, policy: Policy | None = None) -> None:
        await self.start(job)
        cause = self.cause("worker:sms")
        await self.ledger.execute(RecordUnknownOutcome(job, 1, policy or Policy(), cause))

    async def report(self, job: Job, reference: str, state: ReportState) -> None:
        report = DeliveryReport(reference, state, state.value)
        cause = self.cause("aggregator:celcom")
        await self.ledger.execute(
            RecordReport(job.message_id, job.billing_account_id, "celcom", report, cause)
        )


class Books:
    """Looks at what is stored of an account, past the code that stored it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def all(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, parameters).fetchall()

    def one(self, statement: str, *parameters: Any) -> Any:
        [row] = self.all(statement, *parameters)
        return row[0]

    def head(self, account_id: UUID) -> tuple[int, int, int, bytes]:
        """Return version, posted, reserved and hash."""
        [row] = self.all(
            "SELECT version, posted_micros, reserved_micros, entry_hash"
            " FROM credit_heads WHERE account_id = %s",
            account_id,
        )
        return row[0], row[1], row[2], row[3]

    def entries(self, account_id: UUID) -> Sequence[tuple[int, str, bytes, bytes]]:
        """Return (version, topic, state, hash) of every entry, in order."""
        return [
            (row[0], row[1], row[2], row[3])
            for row in self.all(
                "SELECT originator_version, topic, state, entry_hash FROM ledger_entries"
                " WHERE originator_id = %s ORDER BY originator_version",
                account_id,
            )
        ]

    def replay(self, account_id: UUID) -> CreditAccount:
        """Stand the account up from every entry that it has."""
        account: Any = None
        for _, topic, state, _ in self.entries(account_id):
            account = EventMapper.read(topic, state).mutate(account)
        assert isinstance(account, CreditAccount)
        return account

    def assert_sound(self, account_id: UUID) -> None:
        """Check that versions, hashes, the head and the reservations agree with the entries."""
        entries = self.entries(account_id)
        assert [entry[0] for entry in entries] == list(range(1, len(entries) + 1))
        sealed = GENESIS
        for version, topic, state, entry_hash in entries:
            sealed = _seal(sealed, account_id, version, topic, state)
            assert sealed == entry_hash
        account = self.replay(account_id)
        version, posted, reserved, head_hash = self.head(account_id)
        assert (version, posted, reserved, head_hash) == (
            account.version,
            account.posted_micros,
            account.reserved_micros,
            sealed,
        )
        reservations = self.all(
            "SELECT reservation_id, amount_micros FROM open_reservations WHERE account_id = %s",
            account_id,
        )
        told = {key: one.amount_micros for key, one in account.open_reservations.items()}
        assert dict(reservations) == told
        assert sum(told.values()) == reserved


def _seal(previous: bytes, account_id: UUID, version: int, topic: str, state: bytes) -> bytes:
    """Hash an entry as an outsider would who has only read what the encoding is."""
    fields = (previous, account_id.bytes, version.to_bytes(8), topic.encode(), state)
    return hashlib.sha256(b"".join(len(field).to_bytes(4) + field for field in fields)).digest()


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[GroupCommit]:
    """The real ledger on a fresh database."""
    async with GroupCommit(database_url) as ledger:
        yield ledger


@pytest.fixture
def desk(ledger: GroupCommit) -> Desk:
    """One-line ways to ask the ledger."""
    return Desk(ledger)


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the test's own."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def tamper(database_url: str) -> Iterator[Callable[..., None]]:
    """Change a table past everything that guards it."""
    with psycopg.connect(
        database_url, autocommit=True, options="-c session_replication_role=replica"
    ) as owner:

        def change(statement: Any, *parameters: Any) -> None:
            assert owner.execute(statement, parameters).rowcount > 0

        yield change


@pytest.fixture
def books(connection: psycopg.Connection[Any]) -> Books:
    """A look at what is stored."""
    return Books(connection)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[AsyncConnectionPool[Any]]:
    """The pool of the readers."""
    async with open_pool(database_url, size=2) as pool:
        yield pool


@pytest.fixture
def recipient() -> str:
    """Whom the desk writes to."""
    return RECIPIENT


@pytest.fixture
def price_micros() -> int:
    """What every message of the desk costs."""
    return PRICE_MICROS
