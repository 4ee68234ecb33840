"""Carries the recoveries of webhooks on, beside the relay."""

import asyncio

import structlog

from semalink.application.ledger import LedgerUnavailable
from semalink.application.reading import ReadsUnavailable
from semalink.application.recovering import RecoveryRunner
from semalink_adapters.postgres.recoveries import PostgresRecoveries
from semalink_ops.bootstrap import Core
from semalink_ops.runtime import new_request_id, utc_now, wait_for_stop

TURN_SECONDS = 0.2
RETRY_SECONDS = 2.0

_log = structlog.get_logger(__name__)


async def run_recoveries(core: Core, stop: asyncio.Event) -> None:
    """Give every recovery its turns until the stop; any number of processes may."""
    runner = RecoveryRunner(
        core.ledger,
        PostgresRecoveries(core.pool),
        now=utc_now,
        new_request_id=lambda: new_request_id("job_"),
    )
    pause_seconds = TURN_SECONDS
    while not await wait_for_stop(stop, pause_seconds):
        try:
            await runner.step()
        except (LedgerUnavailable, ReadsUnavailable):
            _log.warning("recoveries_postponed")
            pause_seconds = RETRY_SECONDS
        else:
            pause_seconds = TURN_SECONDS
