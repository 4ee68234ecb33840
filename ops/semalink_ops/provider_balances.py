"""Writes down now and then what is left at each aggregator, for reconciling with it."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from semalink.application.ports import Aggregator
from semalink.domain.routing import TEST_ROUTE
from semalink_adapters.aggregators.wording import parse_amount
from semalink_adapters.postgres.reconciliation import PostgresReconciliation
from semalink_ops.bootstrap import Core
from semalink_ops.runtime import utc_now, wait_for_stop

_log = structlog.get_logger(__name__)


async def note_balances(
    core: Core, aggregators: Mapping[str, Aggregator], stop: asyncio.Event
) -> None:
    """Ask each aggregator until the stop; of several workers that ask, one writes."""
    book = PostgresReconciliation(core.pool)
    seconds = core.settings.provider_balance_seconds
    pause_seconds = 0.0
    while not await wait_for_stop(stop, pause_seconds):
        pause_seconds = float(seconds)
        for name, aggregator in aggregators.items():
            if name != TEST_ROUTE:
                await _note(book, name, aggregator, seconds)


async def _note(
    book: PostgresReconciliation, name: str, aggregator: Aggregator, seconds: int
) -> None:
    said = await aggregator.fetch_balance()
    amount = None if said is None else parse_amount(said)
    if said is None or amount is None:
        # Unknown, which is never nothing: an alarm for no balance would be wrong.
        return
    try:
        await book.record_balance(
            name, said, amount.micros, at=utc_now(), apart=timedelta(seconds=seconds / 2)
        )
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout):
        _log.warning("provider_balance_not_kept", aggregator=name)
