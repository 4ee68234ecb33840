"""Reads of the read model ``usage``, summed to the grain that is asked for."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from semalink.application.usage_reading import (
    UsageCounts,
    UsageFilter,
    UsagePlace,
    UsageRow,
    counts_of,
)
from semalink_adapters.postgres.campaign_results import COUNTED_UNTIL
from semalink_adapters.postgres.queries import Queries

_COUNTS = tuple(name for name in UsageCounts.__struct_fields__ if name != "under_way")
_SUMS = ", ".join(f"sum({name})::bigint" for name in _COUNTS)

_CONDITIONS = {
    "account_id": "account_id = %(account_id)s",
    "mode": "mode = %(mode)s",
    "day_from": "day >= %(day_from)s",
    "day_before": "day < %(day_before)s",
    "network": "network = %(network)s",
    "sender": "sender = %(sender)s",
    "aggregator": "aggregator = %(aggregator)s",
    "api_key": "api_key = %(api_key)s",
}


class PostgresUsage(Queries):
    """UsageReads over a pool."""

    async def usage(
        self, wanted: UsageFilter, *, after: UsagePlace | None, limit: int
    ) -> Sequence[UsageRow]:
        """Return rows, newest day first, behind a place."""
        columns = ", ".join(f"{name}::text" for name in wanted.grain)
        parameters = {name: getattr(wanted, name) for name in _CONDITIONS}
        conditions = [
            text for name, text in _CONDITIONS.items() if parameters[name] is not None
        ] or ["true"]
        parameters["limit"] = limit
        if after is not None:
            conditions += _behind(wanted, after, parameters)
        statement = (
            f"SELECT day, {columns}, {_SUMS} FROM usage"  # noqa: S608 - names are constants
            f" WHERE {' AND '.join(conditions)} GROUP BY day, {', '.join(wanted.grain)}"
            f" ORDER BY day DESC, {columns} LIMIT %(limit)s"
        )
        rows = await self._all(statement, parameters)
        return [_row(wanted, *row) for row in rows]

    async def counted_until(self) -> datetime:
        """Return the instant before which everything that was recorded is counted."""
        [[at]] = await self._all(f"SELECT {COUNTED_UNTIL}", ())
        assert isinstance(at, datetime), "a time is a time"
        return at


def _behind(wanted: UsageFilter, after: UsagePlace, parameters: dict[str, Any]) -> Iterator[str]:
    # The first bounds the index, the second the day that was cut.
    parameters["day"] = after.day
    names = [f"after_{name}" for name in wanted.grain]
    parameters |= dict(zip(names, after.kind, strict=True))
    columns = ", ".join(f"{name}::text" for name in wanted.grain)
    places = ", ".join(f"%({name})s::text" for name in names)
    yield "day <= %(day)s"
    yield f"(day < %(day)s OR ({columns}) > ({places}))"


def _row(wanted: UsageFilter, day: Any, *values: Any) -> UsageRow:
    width = len(wanted.grain)
    kind = dict(zip(wanted.grain, values[:width], strict=True))
    sums = dict(zip(_COUNTS, values[width:], strict=True))
    return UsageRow(day, kind, counts_of(sums))
