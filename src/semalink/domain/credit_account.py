"""The credits of one billing account: topped up, reserved, then charged or released."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from semalink.domain import credit_entries as entries
from semalink.domain.cause import Cause
from semalink.domain.credit_entries import LOW_PART, OnBehalf, Reservation
from semalink.domain.errors import (
    CreditLimitTooLow,
    InsufficientCredits,
    ReservationNotOpen,
    SpendingCapReached,
)


class Charge(NamedTuple):
    """A charge that was made: micros from the billing account, micros to whoever sent."""

    amount_micros: int
    price_micros: int
    #: The entry that records it.
    version: int


@dataclass(slots=True)
class Spending:
    """What a customer may spend of its agent's credits in one month, and has spent, in micros."""

    cap_micros: int | None
    spent_micros: int


class CreditAccount(Aggregate):
    """Prepaid or postpaid credits; available = posted - reserved + credit limit.

    Every event carries the balance after it, so that a balance at any point of history is one row.
    Only the reservations that a command needs are loaded into ``open_reservations``, and only the
    spending of the customers that it is about into ``spending``.
    """

    TOPIC = "credit_account"

    posted_micros: int
    reserved_micros: int
    credit_limit_micros: int
    #: True from a warning that little remains until enough does again.
    is_low: bool
    #: By reservation.
    open_reservations: dict[UUID, Reservation]
    #: By customer and month.
    spending: dict[tuple[UUID, str], Spending]

    def __init__(self) -> None:
        """Start empty: the first event stands the account up."""

    Event = entries.Entry

    class Created(entries.Entry, Aggregate.Created):
        """The account was opened with no credits."""

        TOPIC = "credit_account.created.1"
        credit_limit_micros: int

        def apply(self, account: Any) -> None:
            """Start at nothing."""
            super().apply(account)
            account.credit_limit_micros = self.credit_limit_micros
            account.is_low = False
            account.open_reservations = {}
            account.spending = {}

    ToppedUp = entries.ToppedUp
    Reserved = entries.Reserved
    Charged = entries.Charged
    Released = entries.Released
    ReservationExpired = entries.ReservationExpired
    Refunded = entries.Refunded
    Adjusted = entries.Adjusted
    LimitSet = entries.LimitSet
    TransferredOut = entries.TransferredOut
    TransferredIn = entries.TransferredIn
    LimitNeared = entries.LimitNeared

    @classmethod
    def open(cls, account_id: UUID, cause: Cause, *, credit_limit_micros: int = 0) -> Self:
        """Open an account that holds nothing; prepaid unless a credit limit is given."""
        assert credit_limit_micros >= 0, "a credit limit is never negative"
        return cls._create(
            cls.Created,
            id=account_id,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            posted_after_micros=0,
            reserved_after_micros=0,
            credit_limit_after_micros=credit_limit_micros,
            credit_limit_micros=credit_limit_micros,
        )

    @classmethod
    def restore(  # noqa: PLR0913 - what a head row holds
        cls,
        account_id: UUID,
        version: int,
        at: datetime,
        *,
        posted_micros: int,
        reserved_micros: int,
        credit_limit_micros: int,
        is_low: bool = False,
    ) -> Self:
        """Stand the account up from its head row, which is its snapshot."""
        account = cls.__new__(cls)
        account.__base_init__(account_id, version, at)
        account.posted_micros = posted_micros
        account.reserved_micros = reserved_micros
        account.credit_limit_micros = credit_limit_micros
        account.is_low = is_low
        account.open_reservations = {}
        account.spending = {}
        return account

    @property
    def available_micros(self) -> int:
        """What may still be reserved."""
        return self.posted_micros - self.reserved_micros + self.credit_limit_micros

    def top_up(
        self,
        amount_micros: int,
        payment_reference: str,
        cause: Cause,
        *,
        currency: str = "",
        paid_minor_units: int | None = None,
    ) -> None:
        """Add bought credits."""
        assert amount_micros > 0, "the edge refuses a top-up of nothing"
        self._enter(
            self.ToppedUp,
            cause,
            posted_by=amount_micros,
            amount_micros=amount_micros,
            payment_reference=payment_reference,
            currency=currency,
            paid_minor_units=paid_minor_units,
        )

    def reserve(
        self,
        reservation_id: UUID,
        amount_micros: int,
        cause: Cause,
        *,
        expires_at: datetime | None = None,
        on_behalf: OnBehalf | None = None,
        campaign_id: UUID | None = None,
    ) -> None:
        """Set credits aside until they are charged, released, or the time is up."""
        assert amount_micros > 0, "the rate card prices no message at nothing"
        assert reservation_id not in self.open_reservations, "a reservation is made once"
        if on_behalf is not None:
            self._check_cap(on_behalf)
        self._check_available(amount_micros, on_behalf)
        self._enter(
            self.Reserved,
            cause,
            reserved_by=amount_micros,
            reservation_id=reservation_id,
            amount_micros=amount_micros,
            expires_at=expires_at,
            campaign_id=campaign_id,
            **_facts_of(on_behalf),
        )
        self._warn_if_low(cause)

    def charge(
        self,
        reservation_id: UUID,
        cause: Cause,
        *,
        amount_micros: int | None = None,
        price_micros: int | None = None,
        message_id: UUID | None = None,
    ) -> Charge:
        """Spend what was reserved, all of it unless an amount is given."""
        reservation = self._open(reservation_id)
        amount = reservation.amount_micros if amount_micros is None else amount_micros
        if not 0 < amount <= reservation.amount_micros:
            raise InsufficientCredits(
                available_micros=reservation.amount_micros, price_micros=amount
            )
        on_behalf, remaining = reservation.on_behalf, reservation.amount_micros - amount
        price = price_micros
        if on_behalf is not None and price is None:
            assert not remaining, "a part has a price of its own"
            price = on_behalf.price_micros
        unasked = 0 if on_behalf is None or remaining else on_behalf.price_micros - (price or 0)
        self._enter(
            self.Charged,
            cause,
            posted_by=-amount,
            reserved_by=-amount,
            reservation_id=reservation_id,
            amount_micros=amount,
            remaining_micros=remaining,
            sub_account_id=on_behalf.sub_account_id if on_behalf else None,
            price_micros=price,
            message_id=message_id,
            price_released_micros=unasked,
            spending_month=on_behalf.month if on_behalf else None,
            campaign_id=reservation.campaign_id,
        )
        return Charge(amount, amount if price is None else price, self.version)

    def release(self, reservation_id: UUID, cause: Cause) -> int:
        """Give back what is still reserved and return it in micros."""
        return self._give_back(self.Released, reservation_id, cause)

    def expire(self, reservation_id: UUID, cause: Cause) -> int:
        """Give back what nobody resolved in time and return it in micros."""
        return self._give_back(self.ReservationExpired, reservation_id, cause)

    def refund(
        self,
        reservation_id: UUID,
        amount_micros: int,
        cause: Cause,
        *,
        on_behalf: OnBehalf | None = None,
        **charge: Any,
    ) -> None:
        """Give back what was charged; the message that was charged decides it, once.

        Of the charge are told ``charge_version`` and, in a campaign, ``message_id`` and
        ``campaign_id``.
        """
        assert amount_micros > 0, "a refund of nothing is no refund"
        self._enter(
            self.Refunded,
            cause,
            posted_by=amount_micros,
            reservation_id=reservation_id,
            amount_micros=amount_micros,
            **charge,
            **_facts_of(on_behalf),
        )

    def adjust(self, amount_micros: int, cause: Cause, **why: Any) -> None:
        """Correct the balance; never below what is reserved and owed."""
        assert amount_micros != 0, "an adjustment of nothing is none"
        self._check_available(-amount_micros, None)
        self._enter(
            self.Adjusted, cause, posted_by=amount_micros, amount_micros=amount_micros, **why
        )
        self._warn_if_low(cause)

    def set_limit(self, credit_limit_micros: int, reason: str, cause: Cause) -> None:
        """Change the credit limit; setting it to what it is changes nothing."""
        assert credit_limit_micros >= 0, "a credit limit is never negative"
        if credit_limit_micros == self.credit_limit_micros:
            return
        used_micros = self.reserved_micros - self.posted_micros
        if credit_limit_micros < used_micros:
            raise CreditLimitTooLow(used_micros=used_micros)
        self._enter(
            self.LimitSet,
            cause,
            limit_by=credit_limit_micros - self.credit_limit_micros,
            credit_limit_micros=credit_limit_micros,
            reason=reason,
        )
        self._warn_if_low(cause)

    def send_transfer(self, amount_micros: int, cause: Cause, **facts: Any) -> None:
        """Let credits go to another account; only what was bought, not what a limit lends."""
        assert amount_micros > 0, "a transfer of nothing is none"
        free_micros = self.posted_micros - self.reserved_micros
        if amount_micros > free_micros:
            raise InsufficientCredits(
                available_micros=max(free_micros, 0), price_micros=amount_micros
            )
        self._enter(
            self.TransferredOut,
            cause,
            posted_by=-amount_micros,
            amount_micros=amount_micros,
            **facts,
        )
        self._warn_if_low(cause)

    def receive_transfer(self, amount_micros: int, cause: Cause, **facts: Any) -> None:
        """Take credits from another account."""
        self._enter(
            self.TransferredIn, cause, posted_by=amount_micros, amount_micros=amount_micros, **facts
        )

    def count_spending(self, on_behalf: OnBehalf | None, price_micros: int) -> None:
        """Add to what a customer has spent, where that is loaded."""
        if on_behalf is not None:
            spending = self.spending.get((on_behalf.sub_account_id, on_behalf.month))
            if spending is not None:
                spending.spent_micros += price_micros

    def _warn_if_low(self, cause: Cause) -> None:
        if not self.is_low and self.available_micros * LOW_PART < self.credit_limit_micros:
            self._enter(self.LimitNeared, cause, available_micros=self.available_micros)

    def _check_cap(self, on_behalf: OnBehalf) -> None:
        spending = self.spending[(on_behalf.sub_account_id, on_behalf.month)]
        cap_micros = spending.cap_micros
        if cap_micros is not None and spending.spent_micros + on_behalf.price_micros > cap_micros:
            raise SpendingCapReached(
                cap_micros=cap_micros,
                spent_micros=spending.spent_micros,
                price_micros=on_behalf.price_micros,
            )

    def _check_available(self, amount_micros: int, on_behalf: OnBehalf | None) -> None:
        if amount_micros <= self.available_micros:
            return
        if on_behalf is not None:
            # What the agent holds and pays is not the customer's to see.
            raise InsufficientCredits(available_micros=None, price_micros=on_behalf.price_micros)
        raise InsufficientCredits(
            available_micros=self.available_micros, price_micros=amount_micros
        )

    def _give_back(
        self,
        entry: type[entries.Released | entries.ReservationExpired],
        reservation_id: UUID,
        cause: Cause,
    ) -> int:
        reservation = self._open(reservation_id)
        self._enter(
            entry,
            cause,
            reserved_by=-reservation.amount_micros,
            reservation_id=reservation_id,
            amount_micros=reservation.amount_micros,
            campaign_id=reservation.campaign_id,
            **_facts_of(reservation.on_behalf),
        )
        return reservation.amount_micros

    def _open(self, reservation_id: UUID) -> Reservation:
        reservation = self.open_reservations.get(reservation_id)
        if reservation is None:
            raise ReservationNotOpen
        return reservation

    def _enter(
        self,
        entry: type[entries.Entry],
        cause: Cause,
        *,
        posted_by: int = 0,
        reserved_by: int = 0,
        limit_by: int = 0,
        **facts: Any,
    ) -> None:
        self.trigger_event(
            entry,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            posted_after_micros=self.posted_micros + posted_by,
            reserved_after_micros=self.reserved_micros + reserved_by,
            credit_limit_after_micros=self.credit_limit_micros + limit_by,
            **facts,
        )


def _facts_of(on_behalf: OnBehalf | None) -> Mapping[str, Any]:
    if on_behalf is None:
        return {}
    return {
        "sub_account_id": on_behalf.sub_account_id,
        "price_micros": on_behalf.price_micros,
        "spending_month": on_behalf.month,
    }
