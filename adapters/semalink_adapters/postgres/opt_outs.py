"""Reads of opt-outs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from semalink.application.opt_out_reading import OptOutFilter, OptOutView
from semalink.domain.ids import ACCOUNT_PREFIX, OPT_OUT_PREFIX, format_id
from semalink.domain.opt_out import OptOutSource
from semalink_adapters.postgres.queries import Queries

_OPT_OUT = """
SELECT position, opt_out_id, account_id, number, sender, is_active, source, how, recorded_at,
       lifted_at, lift_reason, consent
FROM opt_outs"""

SELECT_OPT_OUT = f"""{_OPT_OUT} WHERE opt_out_id = %(opt_out_id)s
    AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s)"""

#: What is asked of a column, by the name of the filter.
_CONDITIONS = {
    "account_id": "account_id = %(account_id)s",
    "number": "number = %(number)s",
    "sender": "sender_key = lower(%(sender)s)",
    "source": "source = %(source)s",
    "active": "is_active = %(active)s",
    "before": "position < %(before)s",
}


class PostgresOptOuts(Queries):
    """Opt-outs over a pool; raises ReadsUnavailable while the database is away."""

    async def opt_out(self, opt_out_id: UUID, account_id: UUID | None) -> OptOutView | None:
        """Return one opt-out; None for another account's."""
        asked = {"opt_out_id": opt_out_id, "account_id": account_id}
        rows = await self._all(SELECT_OPT_OUT, asked)
        return _view(rows[0]) if rows else None

    async def opt_outs(
        self, wanted: OptOutFilter, *, before: int | None, limit: int
    ) -> Sequence[tuple[int, OptOutView]]:
        """Return opt-outs with their places, newest first, below the place ``before``."""
        asked: dict[str, Any] = {
            "account_id": wanted.account_id,
            "number": wanted.number,
            "sender": wanted.sender,
            "source": wanted.source,
            "active": wanted.active,
            "before": before,
            "limit": limit,
        }
        conditions = [text for name, text in _CONDITIONS.items() if asked[name] is not None]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        statement = f"{_OPT_OUT}{where} ORDER BY position DESC LIMIT %(limit)s"
        return [(row[0], _view(row)) for row in await self._all(statement, asked)]


def _view(row: Any) -> OptOutView:
    _, opt_out_id, account_id, number, sender, is_active, source, how, *told = row
    recorded_at, lifted_at, lift_reason, consent = told
    return OptOutView(
        id=format_id(OPT_OUT_PREFIX, opt_out_id),
        account_id=None if account_id is None else format_id(ACCOUNT_PREFIX, account_id),
        number=number,
        sender=sender or None,
        active=is_active,
        source=OptOutSource(source),
        how=how,
        recorded_at=_utc(recorded_at),
        lifted_at=None if lifted_at is None else _utc(lifted_at),
        lift_reason=lift_reason,
        consent=consent,
    )


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
