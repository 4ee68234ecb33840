"""Statements: what happened to the credits of an account in a month, frozen or so far."""

from datetime import datetime
from functools import singledispatch
from typing import Any
from uuid import UUID

import msgspec

from semalink.domain.calendar import BUSINESS_TIME
from semalink.domain.credit_entries import (
    Adjusted,
    Charged,
    LimitSet,
    Refunded,
    Released,
    ReservationExpired,
    Reserved,
    ToppedUp,
    TransferredIn,
    TransferredOut,
)
from semalink.domain.ids import ACCOUNT_PREFIX, CAMPAIGN_PREFIX, format_id
from semalink.domain.postings import margin_micros_of

#: Names the form of the stored document; another form gets another number.
FORM = "semalink.statement.1"

DailyEntry = Reserved | Charged | Released | ReservationExpired | Refunded

#: What each kind of entry of which there are many is called.
_DAILY: dict[type[Any], str] = {
    Reserved: "reserved",
    Charged: "charged",
    Released: "released",
    ReservationExpired: "reservation_expired",
    Refunded: "refunded",
}


class Position(msgspec.Struct, frozen=True):
    """A balance after an entry, in micros of a credit; version 0: before the first entry."""

    version: int
    posted_micros: int
    reserved_micros: int
    credit_limit_micros: int


NOTHING = Position(0, 0, 0, 0)


class Single(msgspec.Struct, frozen=True):
    """An entry that is shown by itself."""

    version: int
    at: datetime
    #: "topped_up", "adjusted", "transferred_out", "transferred_in" or "limit_set".
    kind: str
    #: By how much what was bought changed; for a limit, the new limit.
    amount_micros: int
    #: Payment reference, category of the adjustment, or the other account of a transfer.
    reference: str
    reason: str


class Day(msgspec.Struct, frozen=True):
    """All entries of one kind on one day of East Africa Time."""

    day: str
    #: "reserved", "charged", "released", "reservation_expired" or "refunded".
    kind: str
    count: int
    amount_micros: int


class CustomerLine(msgspec.Struct, frozen=True):
    """What one customer of an agent was charged in the month, less what was given back."""

    account_id: str
    charged_count: int
    refunded_count: int
    #: What the customer pays, what the agent paid, and what is between.
    price_micros: int
    cost_micros: int
    margin_micros: int


class Total(msgspec.Struct, frozen=True):
    """All entries of one kind in the month."""

    kind: str
    count: int
    amount_micros: int


class CampaignLine(msgspec.Struct, frozen=True):
    """All entries of one kind that one campaign made in the month; they are in the days as well."""

    campaign_id: str
    #: "reserved", "charged", "released", "reservation_expired" or "refunded".
    kind: str
    count: int
    amount_micros: int


# What is left out at its default keeps the bytes of months that were closed before there was it.
class Statement(msgspec.Struct, frozen=True, omit_defaults=True):
    """A month of an account. Money is in micros: 1 credit = 1,000,000 micros."""

    form: str
    #: As "2026-11", a month of East Africa Time.
    month: str
    account_id: str
    #: Null for a customer whose agent pays: it has spending, and no balance of its own.
    opening: Position | None
    closing: Position | None
    #: Hexadecimal hash of the last entry, which seals all before it; null as above.
    closing_entry_hash: str | None
    singles: list[Single]
    days: list[Day]
    #: Of an agent's own statement only.
    customers: list[CustomerLine]
    totals: list[Total]
    #: By campaign; absent where there was none.
    campaigns: list[CampaignLine] = []
    #: False while entries may still come; absent, which is true, once the month is closed.
    closed: bool = True
    #: When an open month was read; absent once it is closed.
    as_of: datetime | None = None


_decoder = msgspec.json.Decoder(Statement)


def encode_statement(statement: Statement) -> bytes:
    """Return the canonical document of a statement, which is what is stored of a closed month."""
    return msgspec.json.encode(statement)


def decode_statement(document: bytes) -> Statement:
    """Return the statement that a stored document holds."""
    return _decoder.decode(document)


def position_after(version: int, entry: Any) -> Position:
    """Return the balance that an entry left behind."""
    return Position(
        version,
        entry.posted_after_micros,
        entry.reserved_after_micros,
        entry.credit_limit_after_micros,
    )


class _Sums:
    """Counts and amounts by some key."""

    def __init__(self) -> None:
        self.by_key: dict[tuple[str, ...], list[int]] = {}

    def add(self, key: tuple[str, ...], amount_micros: int) -> None:
        """Count one more."""
        sums = self.by_key.setdefault(key, [0, 0])
        sums[0] += 1
        sums[1] += amount_micros

    def days(self) -> list[Day]:
        """Return the sums by day and kind, in order."""
        return [
            Day(day, kind, count, amount_micros)
            for (day, kind), (count, amount_micros) in sorted(self.by_key.items())
        ]

    def totals(self) -> list[Total]:
        """Return the sums by kind, in order."""
        return [
            Total(kind, count, amount_micros)
            for (kind,), (count, amount_micros) in sorted(self.by_key.items())
        ]

    def campaigns(self) -> list[CampaignLine]:
        """Return the sums by campaign and kind, in order."""
        return [
            CampaignLine(campaign_id, kind, count, amount_micros)
            for (campaign_id, kind), (count, amount_micros) in sorted(self.by_key.items())
        ]


class _Customer:
    """What the month of one customer of an agent comes to."""

    def __init__(self) -> None:
        self.days = _Sums()
        self.totals = _Sums()
        self.campaigns = _Sums()
        self.counts = {Charged: 0, Refunded: 0}
        self.price_micros = 0
        self.cost_micros = 0

    def add(self, day: str, entry: DailyEntry) -> None:
        """Take an entry in, by the customer's price."""
        price = entry.amount_micros if entry.price_micros is None else entry.price_micros
        kind = _DAILY[type(entry)]
        self.days.add((day, kind), price)
        self.totals.add((kind,), price)
        _add_campaign(self.campaigns, entry, price)
        if isinstance(entry, Charged | Refunded):
            sign = 1 if isinstance(entry, Charged) else -1
            self.counts[type(entry)] += 1
            self.cost_micros += sign * entry.amount_micros
            self.price_micros += sign * (entry.amount_micros + margin_micros_of(entry))

    def line(self, account_id: UUID) -> CustomerLine:
        """Return what the agent sees."""
        return CustomerLine(
            format_id(ACCOUNT_PREFIX, account_id),
            self.counts[Charged],
            self.counts[Refunded],
            self.price_micros,
            self.cost_micros,
            self.price_micros - self.cost_micros,
        )


class StatementBuilder:
    """Makes the statements of a billing account and of the customers it pays for.

    What it keeps does not grow with the number of messages.
    """

    def __init__(self, month: str, account_id: UUID, opening: Position) -> None:
        self._month = month
        self._account_id = account_id
        self._opening = opening
        self._singles: list[Single] = []
        self._days = _Sums()
        self._totals = _Sums()
        self._campaigns = _Sums()
        self._customers: dict[UUID, _Customer] = {}

    def add(self, version: int, recorded_at: datetime, entry: object) -> None:
        """Take the next entry in."""
        if type(entry) in _DAILY:
            self._add_daily(recorded_at, entry)
            return
        shown = _single(entry)
        if shown is not None:
            kind, amount_micros, reference, reason = shown
            self._singles.append(
                Single(version, recorded_at, kind, amount_micros, reference, reason)
            )
            # Limits do not add up.
            self._totals.add((kind,), 0 if isinstance(entry, LimitSet) else amount_micros)

    def build(
        self, closing: Position, entry_hash: bytes, *, as_of: datetime | None = None
    ) -> dict[UUID, Statement]:
        """Return the statements by account: the billing account's, then its customers'.

        With ``as_of`` they say that they are of a month that is open, as it was then.
        """
        customers = sorted(self._customers.items())
        own = Statement(
            form=FORM,
            month=self._month,
            account_id=format_id(ACCOUNT_PREFIX, self._account_id),
            opening=self._opening,
            closing=closing,
            closing_entry_hash=entry_hash.hex(),
            singles=self._singles,
            days=self._days.days(),
            customers=[customer.line(account_id) for account_id, customer in customers],
            totals=self._totals.totals(),
            campaigns=self._campaigns.campaigns(),
            closed=as_of is None,
            as_of=as_of,
        )
        return {
            self._account_id: own,
            **{one: self._statement_of(one, customer, as_of) for one, customer in customers},
        }

    def _add_daily(self, recorded_at: datetime, entry: Any) -> None:
        day = f"{recorded_at.astimezone(BUSINESS_TIME):%Y-%m-%d}"
        kind = _DAILY[type(entry)]
        self._days.add((day, kind), entry.amount_micros)
        self._totals.add((kind,), entry.amount_micros)
        _add_campaign(self._campaigns, entry, entry.amount_micros)
        if entry.sub_account_id is not None:
            self._customers.setdefault(entry.sub_account_id, _Customer()).add(day, entry)

    def _statement_of(
        self, account_id: UUID, customer: _Customer, as_of: datetime | None
    ) -> Statement:
        return Statement(
            form=FORM,
            month=self._month,
            account_id=format_id(ACCOUNT_PREFIX, account_id),
            opening=None,
            closing=None,
            closing_entry_hash=None,
            singles=[],
            days=customer.days.days(),
            customers=[],
            totals=customer.totals.totals(),
            campaigns=customer.campaigns.campaigns(),
            closed=as_of is None,
            as_of=as_of,
        )


def _add_campaign(sums: _Sums, entry: DailyEntry, amount_micros: int) -> None:
    if entry.campaign_id is not None:
        campaign_id = format_id(CAMPAIGN_PREFIX, entry.campaign_id)
        sums.add((campaign_id, _DAILY[type(entry)]), amount_micros)


@singledispatch
def _single(entry: object) -> tuple[str, int, str, str] | None:  # noqa: ARG001 - the others look at it
    """Return kind, amount, reference and reason of an entry that is shown by itself."""
    return None


@_single.register
def _(entry: ToppedUp) -> tuple[str, int, str, str]:
    return "topped_up", entry.amount_micros, entry.payment_reference, ""


@_single.register
def _(entry: Adjusted) -> tuple[str, int, str, str]:
    return "adjusted", entry.amount_micros, entry.category, entry.reason


@_single.register
def _(entry: TransferredOut) -> tuple[str, int, str, str]:
    counterpart = format_id(ACCOUNT_PREFIX, entry.counterpart_id)
    return "transferred_out", -entry.amount_micros, counterpart, entry.reason


@_single.register
def _(entry: TransferredIn) -> tuple[str, int, str, str]:
    counterpart = format_id(ACCOUNT_PREFIX, entry.counterpart_id)
    return "transferred_in", entry.amount_micros, counterpart, entry.reason


@_single.register
def _(entry: LimitSet) -> tuple[str, int, str, str]:
    return "limit_set", entry.credit_limit_micros, "", entry.reason
