"""The credits of one billing account: topped up, reserved, then charged or released."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from semalink.domain.cause import Cause
from semalink.domain.errors import InsufficientCredits, ReservationNotOpen


class CreditAccount(Aggregate):
    """Prepaid or postpaid credits; available = posted - reserved + credit limit.

    Every event carries the balance after it, so that a balance at any point of history is one row.
    Only the reservations that a command needs are loaded into ``open_reservations``.
    """

    TOPIC = "credit_account"

    posted_micros: int
    reserved_micros: int
    credit_limit_micros: int
    #: Micros still reserved, by reservation.
    open_reservations: dict[UUID, int]

    def __init__(self) -> None:
        """Start empty: the first event stands the account up."""

    class Event(Aggregate.Event):
        """A ledger entry: who, in which request, and the balance after it."""

        actor: str
        request_id: str
        posted_after_micros: int
        reserved_after_micros: int

        def apply(self, account: "CreditAccount") -> None:
            """Take over the balance after the entry."""
            account.posted_micros = self.posted_after_micros
            account.reserved_micros = self.reserved_after_micros

    class Created(Event, Aggregate.Created):
        """The account was opened with no credits."""

        TOPIC = "credit_account.created.1"
        credit_limit_micros: int

        def apply(self, account: "CreditAccount") -> None:
            """Start at nothing."""
            super().apply(account)
            account.credit_limit_micros = self.credit_limit_micros
            account.open_reservations = {}

    class ToppedUp(Event):
        """Credits were bought."""

        TOPIC = "credit_account.topped_up.1"
        amount_micros: int
        payment_reference: str

    class Reserved(Event):
        """Credits were set aside for a message."""

        TOPIC = "credit_account.reserved.1"
        reservation_id: UUID
        amount_micros: int

        def apply(self, account: "CreditAccount") -> None:
            """Open the reservation."""
            super().apply(account)
            account.open_reservations[self.reservation_id] = self.amount_micros

    class Charged(Event):
        """Reserved credits were spent."""

        TOPIC = "credit_account.charged.1"
        reservation_id: UUID
        amount_micros: int

        def apply(self, account: "CreditAccount") -> None:
            """Resolve the reservation."""
            super().apply(account)
            account.open_reservations.pop(self.reservation_id, None)

    class Released(Event):
        """Reserved credits were given back unspent."""

        TOPIC = "credit_account.released.1"
        reservation_id: UUID
        amount_micros: int

        def apply(self, account: "CreditAccount") -> None:
            """Resolve the reservation."""
            super().apply(account)
            account.open_reservations.pop(self.reservation_id, None)

    class Refunded(Event):
        """Charged credits were given back."""

        TOPIC = "credit_account.refunded.1"
        reservation_id: UUID
        amount_micros: int

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
            credit_limit_micros=credit_limit_micros,
        )

    @classmethod
    def restore(
        cls,
        account_id: UUID,
        version: int,
        at: datetime,
        *,
        posted_micros: int,
        reserved_micros: int,
        credit_limit_micros: int,
    ) -> Self:
        """Stand the account up from its head row, which is its snapshot."""
        account = cls.__new__(cls)
        account.__base_init__(account_id, version, at)
        account.posted_micros = posted_micros
        account.reserved_micros = reserved_micros
        account.credit_limit_micros = credit_limit_micros
        account.open_reservations = {}
        return account

    @property
    def available_micros(self) -> int:
        """What may still be reserved."""
        return self.posted_micros - self.reserved_micros + self.credit_limit_micros

    def top_up(self, amount_micros: int, payment_reference: str, cause: Cause) -> None:
        """Add bought credits."""
        assert amount_micros > 0, "the edge refuses a top-up of nothing"
        self._enter(
            self.ToppedUp,
            cause,
            posted_by=amount_micros,
            amount_micros=amount_micros,
            payment_reference=payment_reference,
        )

    def reserve(self, reservation_id: UUID, amount_micros: int, cause: Cause) -> None:
        """Set the price of a message aside until it is charged or released."""
        assert amount_micros > 0, "the rate card prices no message at nothing"
        assert reservation_id not in self.open_reservations, "a reservation is made once"
        if amount_micros > self.available_micros:
            raise InsufficientCredits(
                available_micros=self.available_micros, price_micros=amount_micros
            )
        self._enter(
            self.Reserved,
            cause,
            reserved_by=amount_micros,
            reservation_id=reservation_id,
            amount_micros=amount_micros,
        )

    def charge(self, reservation_id: UUID, cause: Cause) -> int:
        """Spend what was reserved and return it in micros."""
        amount_micros = self._open_amount(reservation_id)
        self._enter(
            self.Charged,
            cause,
            posted_by=-amount_micros,
            reserved_by=-amount_micros,
            reservation_id=reservation_id,
            amount_micros=amount_micros,
        )
        return amount_micros

    def release(self, reservation_id: UUID, cause: Cause) -> int:
        """Give back what was reserved and return it in micros."""
        amount_micros = self._open_amount(reservation_id)
        self._enter(
            self.Released,
            cause,
            reserved_by=-amount_micros,
            reservation_id=reservation_id,
            amount_micros=amount_micros,
        )
        return amount_micros

    def refund(self, reservation_id: UUID, amount_micros: int, cause: Cause) -> None:
        """Give back what was charged; the message that was charged decides it, once."""
        assert amount_micros > 0, "a refund of nothing is no refund"
        self._enter(
            self.Refunded,
            cause,
            posted_by=amount_micros,
            reservation_id=reservation_id,
            amount_micros=amount_micros,
        )

    def _open_amount(self, reservation_id: UUID) -> int:
        amount_micros = self.open_reservations.get(reservation_id)
        if amount_micros is None:
            raise ReservationNotOpen
        return amount_micros

    def _enter(
        self,
        entry: type[Event],
        cause: Cause,
        *,
        posted_by: int = 0,
        reserved_by: int = 0,
        **facts: Any,
    ) -> None:
        self.trigger_event(
            entry,
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            posted_after_micros=self.posted_micros + posted_by,
            reserved_after_micros=self.reserved_micros + reserved_by,
            **facts,
        )
