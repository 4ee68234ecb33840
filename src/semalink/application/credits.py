"""Moving credits by hand: limits, adjustments, transfers; and reservations that nobody resolved."""

import hashlib
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from semalink.application.account_commands import AboutAccount
from semalink.application.ledger import Books, Idempotency, Needs, PlainCommand
from semalink.domain.adjustment import Adjustment, AdjustmentState, Category
from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount
from semalink.domain.errors import AdjustmentNotFound, NotRelated, PaidByAgent

#: Scope of the ids of transfers, under which each happens once.
TRANSFER_SCOPE = UUID("00000000-0000-8000-8000-000000000002")


class BalanceAfter(msgspec.Struct, frozen=True):
    """The balance that a command left behind, in micros of a credit."""

    account_id: UUID
    posted_micros: int
    reserved_micros: int
    credit_limit_micros: int
    available_micros: int
    #: The newest entry.
    version: int


class AdjustmentRecorded(msgspec.Struct, frozen=True):
    """An adjustment, and where it stands."""

    adjustment_id: UUID
    account_id: UUID
    amount_micros: int
    category: Category
    reason: str
    state: AdjustmentState
    proposed_by: str


class TransferRecorded(msgspec.Struct, frozen=True):
    """Credits that went from one account to another, and the balances after it."""

    transfer_id: UUID
    amount_micros: int
    sender: BalanceAfter
    receiver: BalanceAfter


def own_credits(books: Books, account_id: UUID) -> CreditAccount:
    """Return the credits of an account that pays for itself; raises PaidByAgent."""
    if books.has_account(account_id) and not books.account(account_id).pays_itself:
        raise PaidByAgent
    return books.credit_account(account_id)


@dataclass(frozen=True, slots=True)
class SetCreditLimit(AboutAccount, PlainCommand):
    """Change how far an account may go below what it bought."""

    account_id: UUID
    credit_limit_micros: int
    reason: str
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The account and its credits."""
        needs.settings.add(self.account_id)
        needs.credit_accounts.add(self.account_id)

    def decide(self, books: Books) -> BalanceAfter:
        """Set the limit, unless more than that is used."""
        credit_account = own_credits(books, self.account_id)
        credit_account.set_limit(self.credit_limit_micros, self.reason, self.cause)
        return _balance(credit_account)


@dataclass(frozen=True, slots=True)
class ProposeAdjustment(AboutAccount):
    """Ask for a correction of a balance."""

    adjustment_id: UUID
    account_id: UUID
    amount_micros: int
    category: Category
    reason: str
    cause: Cause
    idempotency: Idempotency | None = None

    weight: ClassVar[int] = 1
    _decoder: ClassVar = msgspec.json.Decoder(AdjustmentRecorded)

    def needs(self, needs: Needs) -> None:
        """The account and its credits, and the adjustment, which is there when this is repeated."""
        needs.settings.add(self.adjustment_id)
        needs.settings.add(self.account_id)
        needs.credit_accounts.add(self.account_id)

    def decide(self, books: Books) -> AdjustmentRecorded:
        """Record the proposal; nothing moves yet, and proposing it twice changes nothing."""
        before = books.find(Adjustment, self.adjustment_id)
        if before is not None:
            return _recorded(before)
        own_credits(books, self.account_id)
        adjustment = Adjustment.propose(
            self.adjustment_id,
            self.account_id,
            self.amount_micros,
            self.cause,
            category=self.category,
            reason=self.reason,
        )
        books.add(adjustment)
        return _recorded(adjustment)

    @staticmethod
    def encode(value: Any) -> bytes:
        """Write the proposal down."""
        return msgspec.json.encode(value)

    @classmethod
    def decode(cls, stored: bytes) -> AdjustmentRecorded:
        """Read the proposal back."""
        return cls._decoder.decode(stored)


@dataclass(frozen=True, slots=True)
class ApproveAdjustment(AboutAccount, PlainCommand):
    """Agree to an adjustment that another person proposed, and apply it."""

    adjustment_id: UUID
    account_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The adjustment, and the credits that it moves."""
        needs.settings.add(self.adjustment_id)
        needs.credit_accounts.add(self.account_id)

    def decide(self, books: Books) -> AdjustmentRecorded:
        """Approve and apply, in one."""
        adjustment = _adjustment_of(books, self.adjustment_id, self.account_id)
        if adjustment.was_approved_by(self.cause.actor):
            # The answer to this very approval was lost on its way.
            return _recorded(adjustment)
        adjustment.check_approval(self.cause.actor)
        credit_account = books.credit_account(adjustment.account_id)
        credit_account.adjust(
            adjustment.amount_micros,
            self.cause,
            adjustment_id=adjustment.id,
            category=str(adjustment.category),
            reason=adjustment.reason,
            proposed_by=adjustment.proposed_by,
        )
        adjustment.apply_with(credit_account.version, self.cause)
        return _recorded(adjustment)


@dataclass(frozen=True, slots=True)
class RejectAdjustment(AboutAccount, PlainCommand):
    """Close an adjustment without effect."""

    adjustment_id: UUID
    account_id: UUID
    reason: str
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The adjustment."""
        needs.settings.add(self.adjustment_id)

    def decide(self, books: Books) -> AdjustmentRecorded:
        """Reject it."""
        adjustment = _adjustment_of(books, self.adjustment_id, self.account_id)
        adjustment.reject(self.reason, self.cause)
        return _recorded(adjustment)


@dataclass(frozen=True, slots=True)
class TransferCredits:
    """Move credits between an agent and a customer of it that pays for itself."""

    transfer_id: UUID
    from_account_id: UUID
    to_account_id: UUID
    amount_micros: int
    reason: str
    cause: Cause
    idempotency: Idempotency | None = None

    weight: ClassVar[int] = 1
    _decoder: ClassVar = msgspec.json.Decoder(TransferRecorded)

    def __post_init__(self) -> None:
        """Make the transfer its own key where the caller brings none: it happens once."""
        if self.idempotency is None:
            parts = (self.from_account_id.bytes, self.to_account_id.bytes)
            asked = b"".join(parts) + self.amount_micros.to_bytes(16, signed=True)
            fingerprint = hashlib.sha256(asked).digest()
            key = Idempotency(TRANSFER_SCOPE, self.transfer_id.hex, fingerprint)
            object.__setattr__(self, "idempotency", key)

    @property
    def subject(self) -> UUID:
        """The account that gives."""
        return self.from_account_id

    def needs(self, needs: Needs) -> None:
        """Both accounts and their credits."""
        both = {self.from_account_id, self.to_account_id}
        needs.settings |= both
        needs.credit_accounts |= both

    def decide(self, books: Books) -> TransferRecorded:
        """Take from one and give to the other, in one."""
        giver, taker = books.account(self.from_account_id), books.account(self.to_account_id)
        if giver.id != taker.agent_id and taker.id != giver.agent_id:
            raise NotRelated
        sender, receiver = own_credits(books, giver.id), own_credits(books, taker.id)
        facts = {"transfer_id": self.transfer_id, "reason": self.reason}
        sender.send_transfer(self.amount_micros, self.cause, counterpart_id=taker.id, **facts)
        receiver.receive_transfer(self.amount_micros, self.cause, counterpart_id=giver.id, **facts)
        return TransferRecorded(
            self.transfer_id, self.amount_micros, _balance(sender), _balance(receiver)
        )

    @staticmethod
    def encode(value: Any) -> bytes:
        """Write the transfer down."""
        return msgspec.json.encode(value)

    @classmethod
    def decode(cls, stored: bytes) -> TransferRecorded:
        """Read the transfer back."""
        return cls._decoder.decode(stored)


@dataclass(frozen=True, slots=True)
class ExpireReservation(PlainCommand):
    """Give back a reservation that nobody resolved in time."""

    reservation_id: UUID
    account_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The credits and the reservation."""
        needs.credit_accounts.add(self.account_id)
        needs.reservations.add(self.reservation_id)

    def decide(self, books: Books) -> bool:
        """Expire it if it is still open and its time is up; tell whether it was."""
        credit_account = books.credit_account(self.account_id)
        reservation = credit_account.open_reservations.get(self.reservation_id)
        is_due = (
            reservation is not None
            and reservation.expires_at is not None
            and reservation.expires_at <= self.cause.at
        )
        if is_due:
            credit_account.expire(self.reservation_id, self.cause)
        return is_due


def _adjustment_of(books: Books, adjustment_id: UUID, account_id: UUID) -> Adjustment:
    adjustment = books.find(Adjustment, adjustment_id)
    if adjustment is None or adjustment.account_id != account_id:
        raise AdjustmentNotFound
    return adjustment


def _balance(credit_account: CreditAccount) -> BalanceAfter:
    return BalanceAfter(
        account_id=credit_account.id,
        posted_micros=credit_account.posted_micros,
        reserved_micros=credit_account.reserved_micros,
        credit_limit_micros=credit_account.credit_limit_micros,
        available_micros=credit_account.available_micros,
        version=credit_account.version,
    )


def _recorded(adjustment: Adjustment) -> AdjustmentRecorded:
    return AdjustmentRecorded(
        adjustment_id=adjustment.id,
        account_id=adjustment.account_id,
        amount_micros=adjustment.amount_micros,
        category=adjustment.category,
        reason=adjustment.reason,
        state=adjustment.state,
        proposed_by=adjustment.proposed_by,
    )
