"""Opening and configuring accounts, and crediting payments."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from semalink.application.account_commands import AboutAccount, OfAccount
from semalink.application.credits import own_credits
from semalink.application.ledger import Books, Idempotency, Needs
from semalink.domain.account import Account, Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount
from semalink.domain.errors import AgentRequired, NotAnAgent, PaymentReferenceReused

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
    agent_id: UUID | None = None
    #: Whose credits pay; None in answers of the first release, for itself.
    billing_account_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Open an account and its credits, together."""

    account_id: UUID
    name: str
    kind: Kind
    tier: Tier
    cause: Cause
    idempotency: Idempotency | None = None
    #: For an agent's customer.
    agent_id: UUID | None = None
    #: Whether a customer has credits of its own, rather than its agent's.
    pays_itself: bool = False

    weight: ClassVar[int] = 1
    _decoder: ClassVar = msgspec.json.Decoder(AccountOpened)

    @property
    def subject(self) -> UUID | None:
        """The agent; an account that was not opened has no history."""
        return self.agent_id

    def needs(self, needs: Needs) -> None:
        """The account, which is there already when the command is repeated, and its agent."""
        needs.settings.add(self.account_id)
        if self.agent_id is not None:
            needs.settings.add(self.agent_id)

    def decide(self, books: Books) -> AccountOpened:
        """Open both; opening them twice changes nothing."""
        if books.has_account(self.account_id):
            return _opened(books.account(self.account_id))
        self._check_agent(books)
        account = Account.open(
            self.account_id,
            self.name,
            self.kind,
            self.tier,
            self.cause,
            agent_id=self.agent_id,
            pays_itself=self.agent_id is None or self.pays_itself,
        )
        books.add(account)
        books.add(CreditAccount.open(self.account_id, self.cause))
        return _opened(account)

    def _check_agent(self, books: Books) -> None:
        if (self.agent_id is None) == (self.kind is Kind.CUSTOMER):
            raise AgentRequired
        if self.agent_id is not None and books.account(self.agent_id).kind is not Kind.AGENT:
            raise NotAnAgent

    @staticmethod
    def encode(value: AccountOpened) -> bytes:
        """Write down what was opened."""
        return msgspec.json.encode(value)

    @classmethod
    def decode(cls, stored: bytes) -> AccountOpened:
        """Read back what was opened."""
        return cls._decoder.decode(stored)


def _opened(account: Account) -> AccountOpened:
    return AccountOpened(
        account_id=account.id,
        name=account.name,
        kind=account.kind,
        tier=account.tier,
        opened_at=account.created_on,
        agent_id=account.agent_id,
        billing_account_id=account.billing_account_id,
    )


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
class IssueApiKey(AboutAccount):
    """Let a new key speak for an account; repeated, it answers with the key of the first time."""

    account_id: UUID
    key: IssuedKey
    cause: Cause
    idempotency: Idempotency | None = None

    weight: ClassVar[int] = 1

    def needs(self, needs: Needs) -> None:
        """The account."""
        needs.settings.add(self.account_id)

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
class RevokeApiKey(OfAccount):
    """Stop a key for good."""

    account_id: UUID
    api_key_id: UUID
    cause: Cause

    def decide(self, books: Books) -> None:
        """Revoke it; raises ApiKeyNotFound when it does not work anyway."""
        books.account(self.account_id).revoke_key(self.api_key_id, self.cause)


@dataclass(frozen=True, slots=True)
class PreferRoute(OfAccount):
    """Choose the aggregator that an account's messages try first."""

    account_id: UUID
    aggregator: str | None
    cause: Cause

    def decide(self, books: Books) -> None:
        """Prefer it."""
        books.account(self.account_id).prefer_route(self.aggregator, self.cause)


@dataclass(frozen=True, slots=True)
class TopUp(AboutAccount):
    """Credit a payment, once however often its reference is given."""

    account_id: UUID
    amount_micros: int
    payment_reference: str
    cause: Cause
    #: ISO 4217 code of the money paid, and how much of its smallest unit.
    currency: str = ""
    paid_minor_units: int | None = None

    weight: ClassVar[int] = 1
    _decoder: ClassVar = msgspec.json.Decoder(TopUpRecorded)

    @property
    def idempotency(self) -> Idempotency:
        """The payment reference is the key."""
        asked = f"{self.account_id.hex}:{self.amount_micros}"
        if self.currency:
            asked += f":{self.currency}:{self.paid_minor_units}"
        fingerprint = hashlib.sha256(asked.encode()).digest()
        reference = self.payment_reference
        return Idempotency(
            PAYMENT_SCOPE,
            reference,
            fingerprint,
            reused=PaymentReferenceReused,
            keeps_refusals=False,
        )

    def needs(self, needs: Needs) -> None:
        """The account and its credits."""
        needs.settings.add(self.account_id)
        needs.credit_accounts.add(self.account_id)

    def decide(self, books: Books) -> TopUpRecorded:
        """Add the credits."""
        credit_account = own_credits(books, self.account_id)
        credit_account.top_up(
            self.amount_micros,
            self.payment_reference,
            self.cause,
            currency=self.currency,
            paid_minor_units=self.paid_minor_units,
        )
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
