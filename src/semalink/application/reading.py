"""What is read: callers, messages, histories and balances."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec

from semalink.application.message_view import MessageView


class ReadsUnavailable(Exception):
    """The database is away; nothing can be read now."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as an API key says."""

    account_id: UUID
    billing_account_id: UUID
    api_key_id: UUID
    #: "live", "test" or "operator".
    mode: str
    scopes: frozenset[str]
    #: Sender ids that this account was approved for, besides the shared ones.
    senders: frozenset[str]
    tier: str


class EventView(msgspec.Struct, frozen=True):
    """One step of a history, of a message or of the credits that pay for it."""

    id: str
    #: Position in this history, from 1.
    sequence: int
    #: For example "message.accepted" or "credit.charged".
    name: str
    at: datetime
    actor: str
    request_id: str
    data: dict[str, Any]


class BalanceView(msgspec.Struct, frozen=True):
    """The credits of a billing account, in micros of a credit: 1 credit = 1,000,000 micros."""

    account_id: str
    billing_account_id: str
    posted_micros: int
    reserved_micros: int
    credit_limit_micros: int
    available_micros: int
    as_of: datetime


class AccountView(msgspec.Struct, frozen=True):
    """An account, as operators see it."""

    id: str
    billing_account_id: str
    name: str
    kind: str
    tier: str
    preferred_aggregator: str | None
    opened_at: datetime


class ApiKeyView(msgspec.Struct, frozen=True):
    """An API key without its secret."""

    id: str
    account_id: str
    name: str
    scopes: list[str]
    mode: str
    last_four: str
    issued_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages of an account are listed."""

    mode: str
    status: str | None = None
    to: str | None = None
    sender: str | None = None
    lane: str | None = None
    accepted_from: datetime | None = None
    accepted_before: datetime | None = None


class Reads(Protocol):
    """Reads; each method raises ReadsUnavailable while the database is away."""

    async def caller(self, key_hash: bytes) -> Caller | None:
        """Return who a key that was not revoked speaks for, by its keyed hash."""
        ...

    async def message(self, message_id: UUID, account_id: UUID | None) -> MessageView | None:
        """Return one message from its own events, so that a write is read at once.

        None when there is none or it is another account's; any account's when that is None.
        """
        ...

    async def history(self, message_id: UUID, account_id: UUID | None) -> list[EventView] | None:
        """Return every step of a message and its credits, oldest first; None as for message."""
        ...

    async def messages(
        self, account_id: UUID, wanted: MessageFilter, *, before: UUID | None, limit: int
    ) -> Sequence[MessageView]:
        """Return messages, newest first, starting below the id ``before``; from the read model."""
        ...

    async def balance(self, account_id: UUID) -> BalanceView | None:
        """Return the balance of the account that pays for ``account_id``, as of now."""
        ...

    async def account(self, account_id: UUID) -> AccountView | None:
        """Return one account."""
        ...

    async def accounts(self, *, after: UUID | None, limit: int) -> Sequence[AccountView]:
        """Return accounts in id order, starting above the id ``after``."""
        ...

    async def api_keys(self, account_id: UUID) -> Sequence[ApiKeyView]:
        """Return all keys of an account, oldest first."""
        ...
