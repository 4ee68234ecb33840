"""Opening and configuring accounts, and crediting payments."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from semalink.application.ledger import Books, Idempotency, Needs, PlainCommand
from semalink.domain.account import Account, Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount
from semalink.domain.errors import PaymentReferenceReused

#: Payment references are unique across the platform: a payment is credited once, to one account.
PAYMENT_SCOPE = UUID("00000000-0000-8000-8000-000000000001")


class TopUpRecorded(msgspec.Struct, frozen=True):
    """A payment that was credited, and the balance after it. Money in micros of a credit."""

    account_id: UUID
    amount_micros: int
    payment_reference: str
    posted_micros: int
    available_micros: int


class AccountOpened(msgspec.Struct, frozen=True):
    """An account that is open, as it was set up."""

    account_id: UUID
    name: str
    kind: Kind
    tier: Tier
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Open an account and its credits, together."""

    account_id: UUID
    name: str
    kind: Kind
    tier: Tier
    cause: Cause
    idempotency: Idempotency | None = None

    weight: ClassVar[int] = 1
    _decoder: ClassVar = msgspec.json.Decoder(AccountOpened)

    def needs(self, needs: Needs) -> None:
        """The account, which is there already when the command is repeated."""
        needs.accounts.add(self.account_id)

    def decide(self, books: Books) -> AccountOpened:
        """Open both; opening them twice changes nothing."""
        if books.has_account(self.account_id):
            return _opened(books.account(self.account_id))
        account = Account.open(self.account_id, self.name, self.kind, self.tier, self.cause)
        books.add(account)
        books.add(CreditAccount.open(self.account_id, self.cause))
        return _opened(account)

    @staticmethod
    def encode(value: AccountOpened) -> bytes:
        """Write down what was opened."""
        return msgspec.json.encode(value)

    @classmethod
    def decode(cls, stored: bytes) -> AccountOpened:
        """Read back what was opened."""
        return cls._decoder.decode(stored)


def _opened(account: Account) -> AccountOpened:
    return AccountOpened(account.id, account.name, account.kind, account.tier, account.created_on)


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """What is stored of a new key: never the key."""

    api_key_id: UUID
    name: str
    scopes: list[str]
    mode: str
    key_hash: str
    last_four: str


@dataclass(frozen=True, slots=True)
class IssueApiKey:
    """Let a new key speak for an account; repeated, it answers with the key of the first time."""

    account_id: UUID
    key: IssuedKey
    cause: Cause
    idempotency: Idempotency | None = None

    weight: ClassVar[int] = 1

    def needs(self, needs: Needs) -> None:
        """The account."""
        needs.accounts.add(self.account_id)

    def decide(self, books: Books) -> UUID:
        """Record the key's hash and rights; returns its id."""
        key = self.key
        books.account(self.account_id).issue_key(
            key.api_key_id,
            self.cause,
            name=key.name,
            scopes=key.scopes,
            mode=key.mode,
            key_hash=key.key_hash,
            last_four=key.last_four,
        )
        return key.api_key_id

    @staticmethod
    def encode(value: UUID) -> bytes:
        """Write down which key was issued."""
        return value.bytes

    @staticmethod
    def decode(stored: bytes) -> UUID:
        """Read back which key was issued."""
        return UUID(bytes=stored)


@dataclass(frozen=True, slots=True)
class RevokeApiKey(PlainCommand):
    """Stop a key for good."""

    account_id: UUID
    api_key_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The account."""
        needs.accounts.add(self.account_id)

    def decide(self, books: Books) -> None:
        """Revoke it; raises ApiKeyNotFound when it does not work anyway."""
        books.account(self.account_id).revoke_key(self.api_key_id, self.cause)


@dataclass(frozen=True, slots=True)
class ApproveSender(PlainCommand):
    """Let an account send under a sender id."""

    account_id: UUID
    sender: str
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The account."""
        needs.accounts.add(self.account_id)

    def decide(self, books: Books) -> None:
        """Approve it."""
        books.account(self.account_id).approve_sender(self.sender, self.cause)


@dataclass(frozen=True, slots=True)
class PreferRoute(PlainCommand):
    """Choose the aggregator that an account's messages try first."""

    account_id: UUID
    aggregator: str | None
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The account."""
        needs.accounts.add(self.account_id)

    def decide(self, books: Books) -> None:
        """Prefer it."""
        books.account(self.account_id).prefer_route(self.aggregator, self.cause)


@dataclass(frozen=True, slots=True)
class TopUp:
    """Credit a payment, once however often its reference is given."""

    account_id: UUID
    amount_micros: int
    payment_reference: str
    cause: Cause

    weight: ClassVar[int] = 1
    _decoder: ClassVar = msgspec.json.Decoder(TopUpRecorded)

    @property
    def idempotency(self) -> Idempotency:
        """The payment reference is the key."""
        asked = f"{self.account_id.hex}:{self.amount_micros}".encode()
        fingerprint = hashlib.sha256(asked).digest()
        reference = self.payment_reference
        return Idempotency(
            PAYMENT_SCOPE,
            reference,
            fingerprint,
            reused=PaymentReferenceReused,
            keeps_refusals=False,
        )

    def needs(self, needs: Needs) -> None:
        """The credits."""
        needs.credit_accounts.add(self.account_id)

    def decide(self, books: Books) -> TopUpRecorded:
        """Add the credits."""
        credit_account = books.credit_account(self.account_id)
        credit_account.top_up(self.amount_micros, self.payment_reference, self.cause)
        return TopUpRecorded(
            account_id=self.account_id,
            amount_micros=self.amount_micros,
            payment_reference=self.payment_reference,
            posted_micros=credit_account.posted_micros,
            available_micros=credit_account.available_micros,
        )

    @staticmethod
    def encode(value: TopUpRecorded) -> bytes:
        """Write the receipt down."""
        return msgspec.json.encode(value)

    @classmethod
    def decode(cls, stored: bytes) -> TopUpRecorded:
        """Read the receipt back."""
        return cls._decoder.decode(stored)
