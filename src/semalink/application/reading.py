"""What is read: callers, messages, histories and balances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec

from semalink.application.credit_reading import CreditReads
from semalink.application.message_view import MessageView
from semalink.domain.price_list import OWN_TERMS, Terms
from semalink.domain.rate_limit import STARTER_LIMITS, Limits


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
    #: What it pays by and is refunded by.
    terms: Terms = OWN_TERMS
    #: How fast it may send.
    limits: Limits = STARTER_LIMITS
    #: The promotional ones among its sender ids, each with an opt-out text of its own if it has.
    promotional: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def is_paid_by_agent(self) -> bool:
        """Whether the credits are another account's, whose figures are not the caller's to see."""
        return self.account_id != self.billing_account_id


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


class AccountView(msgspec.Struct, frozen=True):
    """An account, as operators see it."""

    id: str
    billing_account_id: str
    name: str
    kind: str
    tier: str
    preferred_aggregator: str | None
    opened_at: datetime
    agent_id: str | None = None
    #: Micros of its agent's credits that it may spend a month.
    spending_cap_micros: int | None = None
    #: Micros a segment that an agent's customers pay, by "KE" or "KE/safaricom".
    price_list: dict[str, int] = {}
    #: Final states after which a charge is given back; null: as the platform does.
    refunded_on: list[str] | None = None
    #: Messages a second that it may send for ever, and at once after a pause.
    rate_per_second: int = 0
    burst: int = 0
    #: Whether they were agreed on; else they are the tier's.
    is_limit_agreed: bool = False
    #: Whether an operator must agree to each of its campaigns.
    campaigns_need_approval: bool = False


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
    #: The limit of its own, in messages; null: as fast as its account.
    rate_per_second: int | None = None
    burst: int | None = None


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages of an account are listed."""

    mode: str
    status: str | None = None
    to: str | None = None
    sender: str | None = None
    lane: str | None = None
    campaign_id: UUID | None = None
    accepted_from: datetime | None = None
    accepted_before: datetime | None = None


class Reads(CreditReads, Protocol):
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
        """Return every step of a message and its credits, oldest first; None as for message.

        An account whose agent pays sees nothing of the agent's balance and cost.
        """
        ...

    async def messages(
        self, account_id: UUID, wanted: MessageFilter, *, before: UUID | None, limit: int
    ) -> Sequence[MessageView]:
        """Return messages, newest first, starting below the id ``before``; from the read model."""
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
