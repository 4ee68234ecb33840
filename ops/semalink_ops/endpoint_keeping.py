"""Gives up what waits for endpoints that were removed, beside the feed."""

import asyncio

import structlog

from semalink.application.ledger import LedgerUnavailable
from semalink.application.reading import ReadsUnavailable
from semalink.application.webhook_removal import PIECE_MAX, give_up_removed
from semalink.domain.cause import Cause
from semalink_adapters.postgres.endpoint_reads import PostgresEndpointReads
from semalink_ops.bootstrap import Core
from semalink_ops.runtime import new_request_id, utc_now, wait_for_stop

ROUND_SECONDS = 5.0

_log = structlog.get_logger(__name__)


async def keep_endpoints(core: Core, stop: asyncio.Event) -> None:
    """Give up what waits in vain until the stop; that several do so at once does no harm."""
    book = PostgresEndpointReads(core.pool)
    pause_seconds = ROUND_SECONDS
    while not await wait_for_stop(stop, pause_seconds):
        pause_seconds = ROUND_SECONDS
        try:
            count = await give_up_removed(book, core.ledger, _cause)
        except (ReadsUnavailable, LedgerUnavailable):
            _log.warning("giving_up_postponed")
            continue
        if count:
            _log.info("webhooks_given_up", count=count)
        if count == PIECE_MAX:
            pause_seconds = 0.0


def _cause() -> Cause:
    return Cause("worker:endpoints", utc_now(), new_request_id("job_"))
