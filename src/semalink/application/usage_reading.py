"""What was sent, per day, network, sender and key: rows of the read model, summed as asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

import msgspec

from semalink.application.csv_cells import csv_lines, text_cell
from semalink.domain.ids import ACCOUNT_PREFIX, format_id

#: How rows are told apart beside the day; what is not named is summed.
CUSTOMER_GRAIN = ("network", "sender", "api_key")
OPERATOR_GRAIN = ("account_id", "mode", "network", "sender", "aggregator", "api_key")

#: What the read model calls messages that a campaign sent.
BY_CAMPAIGN = "campaign"


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Which rows are asked for, and how they are told apart."""

    grain: tuple[str, ...]
    account_id: UUID | None = None
    mode: str | None = None
    day_from: date | None = None
    day_before: date | None = None
    network: str | None = None
    sender: str | None = None
    aggregator: str | None = None
    #: The id of a key, or "campaign".
    api_key: str | None = None


class UsageRow(NamedTuple):
    """What was sent on one day, of one kind of the grain that was asked for."""

    day: date
    #: By the names of the grain, as text.
    kind: Mapping[str, str]
    counts: "UsageCounts"

    @property
    def place(self) -> "UsagePlace":
        """Where it stands in the order."""
        return UsagePlace(self.day, tuple(self.kind.values()))


class UsagePlace(NamedTuple):
    """A place in the order of rows: newest day first, then by kind."""

    day: date
    kind: tuple[str, ...]


class UsageCounts(msgspec.Struct, frozen=True):
    """Messages by where they stand now, and money in micros; they add up."""

    accepted: int
    submitted: int
    #: Neither ended nor unknown.
    under_way: int
    delivered: int
    failed: int
    rejected: int
    expired: int
    cancelled: int
    unknown: int
    segments: int
    price_micros: int
    charged_micros: int
    refunded_micros: int


class UsageView(msgspec.Struct, frozen=True):
    """What an account sent on a day of East Africa Time to one network, as one sender, by a key."""

    day: date
    #: Null: nobody told which.
    network: str | None
    sender: str
    source: Literal["api", "campaign"]
    #: The key by which it was accepted; null for campaigns.
    key_id: str | None
    counts: UsageCounts


class AccountUsageView(msgspec.Struct, frozen=True):
    """What any account sent on a day, and who carried it."""

    day: date
    account_id: str
    mode: str
    network: str | None
    sender: str
    #: Null: no aggregator was asked yet.
    aggregator: str | None
    source: Literal["api", "campaign"]
    key_id: str | None
    counts: UsageCounts


class UsageReads(Protocol):
    """Reads of usage; raises ReadsUnavailable while the database is away."""

    async def usage(
        self, wanted: UsageFilter, *, after: UsagePlace | None, limit: int
    ) -> Sequence[UsageRow]:
        """Return rows, newest day first, behind a place."""
        ...

    async def counted_until(self) -> datetime:
        """Return the instant before which everything that was recorded is counted."""
        ...


def counts_of(sums: Mapping[str, int]) -> UsageCounts:
    """Return the counts of a row of the read model, or of several."""
    ends = sum(
        sums[end] for end in ("delivered", "failed", "rejected", "expired", "cancelled", "unknown")
    )
    named = {name: sums[name] for name in UsageCounts.__struct_fields__ if name != "under_way"}
    return UsageCounts(under_way=sums["accepted"] - ends, **named)


def usage_view(row: UsageRow) -> UsageView:
    """Return a row of ``CUSTOMER_GRAIN`` as it is shown."""
    kind = row.kind
    return UsageView(
        row.day,
        kind["network"] or None,
        kind["sender"],
        _source(kind["api_key"]),
        _key_id(kind["api_key"]),
        row.counts,
    )


def account_usage_view(row: UsageRow) -> AccountUsageView:
    """Return a row of ``OPERATOR_GRAIN`` as it is shown."""
    kind = row.kind
    return AccountUsageView(
        row.day,
        format_id(ACCOUNT_PREFIX, UUID(kind["account_id"])),
        kind["mode"],
        kind["network"] or None,
        kind["sender"],
        kind["aggregator"] or None,
        _source(kind["api_key"]),
        _key_id(kind["api_key"]),
        row.counts,
    )


def usage_header(view: type[UsageView] | type[AccountUsageView]) -> bytes:
    """Return the first line of a file of such rows."""
    kinds = [name for name in view.__struct_fields__ if name != "counts"]
    return csv_lines([[*kinds, *UsageCounts.__struct_fields__]])


def usage_lines(views: Sequence[UsageView | AccountUsageView]) -> bytes:
    """Return a line for each row."""
    return csv_lines([*_cells(view), *msgspec.structs.astuple(view.counts)] for view in views)


def _cells(view: UsageView | AccountUsageView) -> list[str]:
    values = (getattr(view, name) for name in view.__struct_fields__ if name != "counts")
    return ["" if value is None else text_cell(str(value)) for value in values]


def _source(api_key: str) -> Literal["api", "campaign"]:
    return "campaign" if api_key == BY_CAMPAIGN else "api"


def _key_id(api_key: str) -> str | None:
    return None if api_key in ("", BY_CAMPAIGN) else api_key
