"""Keeps a worker's eye on the routes: a beat every half second, and at once when much fails."""

import asyncio
import contextlib

import structlog

from semalink.application.bus import NotReady
from semalink.application.ledger import LedgerUnavailable
from semalink.application.route_watch import RouteWatch
from semalink_ops.observability.metrics import Metrics

BEAT_SECONDS = 0.5
#: However much fails: between two beats a worker has work to do.
PAUSE_SECONDS = 0.05

_log = structlog.get_logger(__name__)


async def watch_routes(watch: RouteWatch, metrics: Metrics, stop: asyncio.Event) -> None:
    """Beat until the stop; while the database is away, the last board stands."""
    is_away = False
    while not stop.is_set():
        try:
            await watch.beat()
            is_away = False
        except (NotReady, LedgerUnavailable):
            if not is_away:
                _log.warning("route_health_not_shared")
            is_away = True
        metrics.routes_seen(watch.board)
        await asyncio.sleep(PAUSE_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEAT_SECONDS):
                await _either(watch.urgent, stop)


async def _either(first: asyncio.Event, second: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in (first, second)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
