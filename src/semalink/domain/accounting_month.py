"""A month of the books: open until finance closes it, and then for ever as it was."""

from typing import Self
from uuid import UUID, uuid5

from eventsourcing.domain import Aggregate

from semalink.domain.cause import Cause

#: The id of a month is made from its name, so that it can be closed once.
_MONTHS = UUID("5b1c6d0e-8a3f-5f0a-9d0f-2a9f3f6c7e11")


class AccountingMonth(Aggregate):
    """What a month came to when it was closed."""

    TOPIC = "accounting_month"

    #: As "2026-11".
    month: str

    def __init__(self) -> None:
        """Start empty: the first event stands the month up."""

    class Event(Aggregate.Event):
        """A step of a month: who, in which request."""

        actor: str
        request_id: str

    class Created(Event, Aggregate.Created):
        """The month was closed: its positions are frozen."""

        TOPIC = "accounting_month.closed.1"
        month: str
        account_count: int
        entry_count: int
        #: Over all accounts, at the end of the month.
        posted_micros: int
        reserved_micros: int
        #: Hexadecimal SHA-256 over all positions.
        positions_sha256: str

        def apply(self, accounting_month: "AccountingMonth") -> None:
            """Stand the month up, closed."""
            accounting_month.month = self.month
            accounting_month.closed = self

    #: What was recorded.
    closed: Created

    @classmethod
    def close(  # noqa: PLR0913 - what a month comes to
        cls,
        month: str,
        cause: Cause,
        *,
        account_count: int,
        entry_count: int,
        posted_micros: int,
        reserved_micros: int,
        positions_sha256: str,
    ) -> Self:
        """Close a month with what it came to."""
        return cls._create(
            cls.Created,
            id=accounting_month_id(month),
            timestamp=cause.at,
            actor=cause.actor,
            request_id=cause.request_id,
            month=month,
            account_count=account_count,
            entry_count=entry_count,
            posted_micros=posted_micros,
            reserved_micros=reserved_micros,
            positions_sha256=positions_sha256,
        )


def accounting_month_id(month: str) -> UUID:
    """Return the id of a month's stream."""
    return uuid5(_MONTHS, month)
