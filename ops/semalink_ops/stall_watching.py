"""Looks for stalled routes beside the relay."""

import asyncio

import structlog

from semalink.application.bus import NotReady
from semalink.application.ledger import LedgerUnavailable
from semalink.application.stall_watch import StallWatch
from semalink.domain.route_health import Diagnosis
from semalink_adapters.postgres.stall_reads import PostgresStallReads
from semalink_ops.bootstrap import Core
from semalink_ops.runtime import new_request_id, utc_now, wait_for_stop

#: Minutes pass before a stall shows at all: seconds more are nothing.
LOOK_SECONDS = 15.0

_log = structlog.get_logger(__name__)


async def watch_for_stalls(core: Core, stop: asyncio.Event) -> None:
    """Look until the stop; any number of processes may."""

    def on_trip(route: str, diagnosis: Diagnosis) -> None:
        core.metrics.route_tripped(route, str(diagnosis.cause))
        _log.warning("route_stalled", route=route, network=diagnosis.network)

    watch = StallWatch(
        PostgresStallReads(core.pool),
        core.ledger,
        now=utc_now,
        new_request_id=lambda: new_request_id("job_"),
        on_trip=on_trip,
    )
    while not await wait_for_stop(stop, LOOK_SECONDS):
        try:
            await watch.look()
        except (NotReady, LedgerUnavailable):
            _log.warning("stall_watch_postponed")
