"""The entries of a credit account: what each verb of the ledger records."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from eventsourcing.domain import Aggregate

#: A warning is due when less than one part in this many of the credit limit remains.
LOW_PART = 5


@dataclass(frozen=True, slots=True)
class OnBehalf:
    """The agent's customer for whom something is paid, and what it costs that customer."""

    sub_account_id: UUID
    #: By the agent's price list; what leaves the agent's credits is another amount.
    price_micros: int
    #: The business month whose spending it counts to, as "2026-11".
    month: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """Credits that are set aside and not yet spent, in micros."""

    amount_micros: int
    expires_at: datetime | None = None
    on_behalf: OnBehalf | None = None
    #: The campaign whose messages are charged to it one by one; None: it is for one message.
    campaign_id: UUID | None = None


class Books(Protocol):
    """What applying an entry changes."""

    posted_micros: int
    reserved_micros: int
    credit_limit_micros: int
    is_low: bool
    open_reservations: dict[UUID, Reservation]

    def count_spending(self, on_behalf: OnBehalf | None, price_micros: int) -> None:
        """Add to what a customer has spent, where that is loaded."""
        ...


class Entry(Aggregate.Event):
    """A ledger entry: who, in which request, and the balance after it."""

    actor: str
    request_id: str
    posted_after_micros: int
    reserved_after_micros: int
    #: Entries of the first release lack it, and no limit could be set then.
    credit_limit_after_micros: int = field(default=0, kw_only=True)

    def apply(self, account: Books) -> None:
        """Take over the balance after the entry."""
        account.posted_micros = self.posted_after_micros
        account.reserved_micros = self.reserved_after_micros
        account.credit_limit_micros = self.credit_limit_after_micros


class _Gain(Entry):
    def apply(self, account: Books) -> None:
        """Take over the balance, and be ready to warn again once enough remains."""
        super().apply(account)
        available = self.posted_after_micros - self.reserved_after_micros
        if (available + account.credit_limit_micros) * LOW_PART >= account.credit_limit_micros:
            account.is_low = False


class ToppedUp(_Gain):
    """Credits were bought."""

    TOPIC = "credit_account.topped_up.1"
    amount_micros: int
    payment_reference: str
    #: ISO 4217 code of the money paid, and how much of its smallest unit; "" and None: not told.
    currency: str = ""
    paid_minor_units: int | None = None


class Reserved(Entry):
    """Credits were set aside for a message or a campaign."""

    TOPIC = "credit_account.reserved.1"
    reservation_id: UUID
    amount_micros: int
    expires_at: datetime | None = None
    sub_account_id: UUID | None = None
    price_micros: int | None = None
    spending_month: str | None = None
    campaign_id: UUID | None = None

    def apply(self, account: Books) -> None:
        """Open the reservation."""
        super().apply(account)
        on_behalf = on_behalf_of(self)
        reservation = Reservation(self.amount_micros, self.expires_at, on_behalf, self.campaign_id)
        account.open_reservations[self.reservation_id] = reservation
        account.count_spending(on_behalf, self.price_micros or 0)


class Charged(Entry):
    """Reserved credits were spent, all of them or a part."""

    TOPIC = "credit_account.charged.1"
    reservation_id: UUID
    amount_micros: int
    #: What stays reserved; the reservation is resolved when nothing does.
    remaining_micros: int = 0
    sub_account_id: UUID | None = None
    price_micros: int | None = None
    #: The message that was charged, where the reservation is for many.
    message_id: UUID | None = None
    #: What the customer had set aside and was not asked for, with the last part.
    price_released_micros: int = 0
    spending_month: str | None = None
    campaign_id: UUID | None = None

    def apply(self, account: Books) -> None:
        """Resolve the reservation, or lessen it."""
        super().apply(account)
        if self.price_released_micros:
            account.count_spending(on_behalf_of(self), -self.price_released_micros)
        before = account.open_reservations.pop(self.reservation_id, None)
        if before is not None and self.remaining_micros:
            account.open_reservations[self.reservation_id] = lessened(
                before, self.remaining_micros, self.price_micros
            )


class _GivenBack(Entry):
    # Not a gain: what comes back unspent ends a warning only when twice as much remains, so that
    # messages under way, which reserve and release, do not warn again and again.
    reservation_id: UUID
    amount_micros: int
    sub_account_id: UUID | None = None
    price_micros: int | None = None
    spending_month: str | None = None
    campaign_id: UUID | None = None

    def apply(self, account: Books) -> None:
        """Resolve the reservation."""
        super().apply(account)
        account.open_reservations.pop(self.reservation_id, None)
        account.count_spending(on_behalf_of(self), -(self.price_micros or 0))
        available = self.posted_after_micros - self.reserved_after_micros
        if (available + account.credit_limit_micros) * LOW_PART >= 2 * account.credit_limit_micros:
            account.is_low = False


class Released(_GivenBack):
    """Reserved credits were given back unspent."""

    TOPIC = "credit_account.released.1"


class ReservationExpired(_GivenBack):
    """Nobody resolved a reservation in time, so that it was given back."""

    TOPIC = "credit_account.reservation_expired.1"


class Refunded(_Gain):
    """Charged credits were given back."""

    TOPIC = "credit_account.refunded.1"
    reservation_id: UUID
    amount_micros: int
    #: Version of the entry that charged them; entries of the first release lack it.
    charge_version: int | None = None
    sub_account_id: UUID | None = None
    price_micros: int | None = None
    spending_month: str | None = None
    #: The message that was charged, where the reservation was a campaign's.
    message_id: UUID | None = None
    campaign_id: UUID | None = None

    def apply(self, account: Books) -> None:
        """Take the balance over, and what the customer spent back."""
        super().apply(account)
        account.count_spending(on_behalf_of(self), -(self.price_micros or 0))


class Adjusted(_Gain):
    """Finance corrected the balance, with a reason and the approval of two people."""

    TOPIC = "credit_account.adjusted.1"
    adjustment_id: UUID
    #: Signed; never nothing.
    amount_micros: int
    category: str
    reason: str
    proposed_by: str


class LimitSet(_Gain):
    """The credit limit was changed; a limit of nothing is prepaid."""

    TOPIC = "credit_account.limit_set.1"
    credit_limit_micros: int
    reason: str


class TransferredOut(Entry):
    """Credits went to another account of the same agent."""

    TOPIC = "credit_account.transferred_out.1"
    transfer_id: UUID
    amount_micros: int
    counterpart_id: UUID
    reason: str


class TransferredIn(_Gain):
    """Credits came from another account of the same agent."""

    TOPIC = "credit_account.transferred_in.1"
    transfer_id: UUID
    amount_micros: int
    counterpart_id: UUID
    reason: str


class LimitNeared(Entry):
    """Less than a fifth of the credit limit remains: a warning, given once until more is there."""

    TOPIC = "credit_account.limit_neared.1"
    available_micros: int

    def apply(self, account: Books) -> None:
        """Remember that the warning was given."""
        super().apply(account)
        account.is_low = True


def on_behalf_of(entry: Reserved | Charged | _GivenBack | Refunded) -> OnBehalf | None:
    """Return for whom an entry was made; None for the billing account itself."""
    if entry.sub_account_id is None:
        return None
    assert entry.price_micros is not None, "what a customer pays is told with the customer"
    assert entry.spending_month is not None, "the month is told with the customer"
    return OnBehalf(entry.sub_account_id, entry.price_micros, entry.spending_month)


def lessened(before: Reservation, amount_micros: int, price_micros: int | None) -> Reservation:
    """Return a reservation of which a part was charged at this price."""
    on_behalf = before.on_behalf
    if on_behalf is not None:
        left = on_behalf.price_micros - (price_micros or 0)
        on_behalf = OnBehalf(on_behalf.sub_account_id, left, on_behalf.month)
    return Reservation(amount_micros, before.expires_at, on_behalf, before.campaign_id)
