"""What is read of credits: balances, entries, adjustments, and agents' customers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec

from semalink.domain.ids import ACCOUNT_PREFIX, format_id
from semalink.domain.message import Message


class BalanceView(msgspec.Struct, frozen=True):
    """The credits of an account, in micros of a credit: 1 credit = 1,000,000 micros.

    An account whose agent pays has no credits, so that what is posted, reserved and lent is null:
    it sees what it has spent this month, and its cap.
    """

    account_id: str
    #: The account itself; null when its agent pays.
    billing_account_id: str | None
    posted_micros: int | None
    reserved_micros: int | None
    credit_limit_micros: int | None
    #: What may still be spent; null when an agent pays and set no cap.
    available_micros: int | None
    as_of: datetime
    paid_by: Literal["self", "agent"] = "self"
    spending_cap_micros: int | None = None
    spent_this_month_micros: int | None = None
    #: The newest entry that the balance includes; 0 before the first.
    entry: int | None = None


class EntryView(msgspec.Struct, frozen=True):
    """One movement of credits. Money in micros; null where it is not the reader's to see."""

    id: str
    #: Position among the account's entries, from 1.
    entry: int | None
    #: For example "credit.charged".
    name: str
    at: datetime
    recorded_at: datetime
    actor: str
    request_id: str
    amount_micros: int | None
    posted_after_micros: int | None
    reserved_after_micros: int | None
    credit_limit_after_micros: int | None
    available_after_micros: int | None
    message_id: str | None
    #: The agent's customer on whose behalf it happened.
    customer_id: str | None
    #: What that customer pays.
    price_micros: int | None
    data: dict[str, Any]
    #: The campaign that it is about.
    campaign_id: str | None = None


class AdjustmentView(msgspec.Struct, frozen=True):
    """An adjustment, and who answers for it."""

    id: str
    account_id: str
    amount_micros: int
    category: str
    reason: str
    state: str
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    #: The ledger entry that applied it.
    entry: int | None = None


class CustomerView(msgspec.Struct, frozen=True):
    """An agent's customer, as the agent sees it. Money in micros of a credit."""

    id: str
    name: str
    tier: str
    #: Whether it has credits of its own, rather than its agent's.
    pays_itself: bool
    spending_cap_micros: int | None
    spent_this_month_micros: int
    opened_at: datetime


class MarginView(msgspec.Struct, frozen=True):
    """What an agent earned with one customer in a month, refunds taken off. Money in micros."""

    customer_id: str
    name: str
    #: Charges less refunds.
    messages: int
    price_micros: int
    cost_micros: int
    margin_micros: int


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries are listed."""

    #: The verb, such as "charged".
    name: str | None = None
    at_from: datetime | None = None
    at_before: datetime | None = None
    #: Only what a campaign moved: its reservation, its charges and refunds, its release.
    campaign_id: UUID | None = None


class CreditReads(Protocol):
    """Reads of credits; each method raises ReadsUnavailable while the database is away."""

    async def balance(self, account_id: UUID) -> BalanceView | None:
        """Return what an account may see of the credits it spends, as of now."""
        ...

    async def balance_at(self, account_id: UUID, at: datetime) -> BalanceView:
        """Return the balance of a billing account at an instant, by its last entry until then."""
        ...

    async def balance_after(self, account_id: UUID, entry: int) -> BalanceView | None:
        """Return the balance of a billing account after an entry; None when there is none."""
        ...

    async def entries(
        self, account_id: UUID, wanted: EntryFilter, *, before: int | None, limit: int
    ) -> Sequence[EntryView]:
        """Return entries of a billing account, newest first, below the entry ``before``."""
        ...

    async def movements(
        self,
        account_id: UUID,
        payer_id: UUID,
        wanted: EntryFilter,
        *,
        before: UUID | None,
        limit: int,
    ) -> Sequence[EntryView]:
        """Return what the newest ``limit`` messages below ``before`` moved, of what is wanted.

        In the prices of an account whose agent pays; nothing of the agent's shows.
        """
        ...

    async def adjustment(self, adjustment_id: UUID) -> AdjustmentView | None:
        """Return one adjustment."""
        ...

    async def adjustments(
        self, state: str | None, *, before: UUID | None, limit: int
    ) -> Sequence[AdjustmentView]:
        """Return adjustments, newest first."""
        ...

    async def customers(
        self, agent_id: UUID, *, after: UUID | None, limit: int
    ) -> Sequence[CustomerView]:
        """Return an agent's customers in id order."""
        ...

    async def customer(self, agent_id: UUID, customer_id: UUID) -> CustomerView | None:
        """Return one customer of an agent; None when it is not this agent's."""
        ...

    async def message_costs(self, message_ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """Return what each message costs whoever pays for it, in micros."""
        ...

    async def margins(self, agent_id: UUID, start: datetime, end: datetime) -> Sequence[MarginView]:
        """Return what an agent earned with each customer between two instants."""
        ...


def own_balance(
    account_id: UUID, entry: int, micros: tuple[int, int, int], as_of: datetime
) -> BalanceView:
    """Return the balance of an account that pays for itself."""
    posted, reserved, limit = micros
    public_id = format_id(ACCOUNT_PREFIX, account_id)
    return BalanceView(
        account_id=public_id,
        billing_account_id=public_id,
        posted_micros=posted,
        reserved_micros=reserved,
        credit_limit_micros=limit,
        available_micros=posted - reserved + limit,
        as_of=as_of,
        entry=entry,
    )


def customers_balance(
    account_id: UUID, cap: int | None, spent: int, as_of: datetime
) -> BalanceView:
    """Return what an account sees whose agent pays: its own spending."""
    return BalanceView(
        account_id=format_id(ACCOUNT_PREFIX, account_id),
        billing_account_id=None,
        posted_micros=None,
        reserved_micros=None,
        credit_limit_micros=None,
        available_micros=None if cap is None else max(cap - spent, 0),
        as_of=as_of,
        paid_by="agent",
        spending_cap_micros=cap,
        spent_this_month_micros=spent,
    )


def cost_of(asked: Message.Created) -> int:
    """Return what a message costs whoever pays for it."""
    return asked.price_micros if asked.cost_micros is None else asked.cost_micros
