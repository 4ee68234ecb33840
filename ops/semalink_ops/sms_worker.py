"""The SMS worker: three lanes, of which each gives way to those before it."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from semalink.application.bundles import BundleSubmitter
from semalink.application.route_watch import RouteWatch
from semalink.application.submission import Policy
from semalink.application.submitting import Submitter
from semalink.application.yielding import ReportsFirst
from semalink.domain.route_health import Diagnosis
from semalink.domain.routing import DEFAULT_ORDER, TEST_ROUTE
from semalink_adapters.jetstream.consumer import Limits, consume_each
from semalink_adapters.jetstream.lanes import PriorityGate
from semalink_adapters.jetstream.source import JetStreamSource
from semalink_adapters.jetstream.streams import SMS_BULK, SMS_NORMAL, SMS_PRIORITY
from semalink_adapters.postgres.dealing_book import PostgresBundleBook
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.reports import PostgresReports
from semalink_adapters.postgres.routes import PostgresRoutes
from semalink_ops.bootstrap import Core, open_aggregators
from semalink_ops.bundle_handling import BundleHandler
from semalink_ops.observability.step_log import LoggedLedger
from semalink_ops.preferences import CachedWishes
from semalink_ops.provider_balances import note_balances
from semalink_ops.route_watching import watch_routes
from semalink_ops.runtime import FINISH_SECONDS, background, new_request_id, utc_now
from semalink_ops.submit_handling import SubmissionTelemetry, SubmitHandler

#: Few bundles in hand, as each is a hundred messages that others wait behind.
BUNDLES = Limits(concurrency=2, batch=1, not_ready_seconds=(0.2, 1.0))

_log = structlog.get_logger(__name__)


class NoAggregator(Exception):
    """No aggregator is set up, so that nothing could be sent."""

    def __init__(self) -> None:
        super().__init__(
            "No aggregator is set up. Set SEMALINK_CELCOM_PARTNER_ID, _API_KEY and _DLR_SECRET, "
            "or the three of SEMALINK_AFRICASTALKING_*."
        )


async def run_sms_worker(core: Core, stop: asyncio.Event) -> None:
    """Submit messages until the stop; the priority lane has slots of its own."""
    settings = core.settings
    async with (
        open_aggregators(settings) as aggregators,
        # Of its own, so that no single message waits for the commit of a hundred.
        GroupCommit(
            settings.database_url.reveal(),
            on_batch=core.metrics.batch_committed,
            application_name="semalink-worker-sms-bulk",
        ) as bulk_ledger,
    ):
        order = tuple(route for route in DEFAULT_ORDER if route in aggregators)
        if not order:
            raise NoAggregator
        watch = _route_watch(core, order, tuple(aggregators))
        policy = Policy(
            unknown_after=timedelta(seconds=settings.unknown_after_seconds), order=order
        )
        submitter = Submitter(
            LoggedLedger(core.ledger),
            aggregators,
            watch,
            policy=policy,
            now=utc_now,
            new_request_id=_request_id,
            observer=SubmissionTelemetry(core.metrics),
            # As many connections are open to an aggregator as both need together.
            beside_max=settings.sms_concurrency,
        )
        book = PostgresBundleBook(core.pool)
        bundles = BundleSubmitter(
            bulk_ledger,
            aggregators,
            watch,
            book,
            policy=policy,
            now=utc_now,
            new_request_id=_request_id,
            observer=SubmissionTelemetry(core.metrics),
            submit_one=submitter.submit,
        )
        async with background(
            note_balances(core, aggregators, stop),
            watch_routes(watch, core.metrics, stop),
            finish_seconds=FINISH_SECONDS,
        ):
            handler = BundleHandler(bundles, book, core.tracing, ReportsFirst(book.count_reports))
            await _serve_lanes(core, submitter, handler, stop)


def _request_id() -> str:
    return new_request_id("job_")


async def _serve_lanes(
    core: Core,
    submitter: Submitter,
    bundles: BundleHandler,
    stop: asyncio.Event,
) -> None:
    gate = PriorityGate()
    singles = SubmitHandler(submitter, PostgresReports(core.pool).park, core.tracing)
    slots = core.settings.sms_concurrency
    limits = Limits(concurrency=slots, batch=slots, not_ready_seconds=(0.2, 1.0))
    lanes = [
        consume_each(
            JetStreamSource(core.connection, core.bus, queue),
            handle,
            stop=stop,
            limits=bounds,
            lane=lane,
            observer=core.bus_metrics,
        )
        for queue, handle, bounds, lane in (
            (SMS_PRIORITY, singles.handle, limits, gate.priority),
            (SMS_NORMAL, singles.handle, limits, gate.normal),
            (SMS_BULK, bundles.handle, BUNDLES, gate.bulk),
        )
    ]
    ends_at = asyncio.create_task(_seconds_after(stop, limits.drain_seconds))
    try:
        await asyncio.gather(*lanes)
        # No longer than what is in hand may take, and at the same time.
        await submitter.drain(await ends_at - asyncio.get_running_loop().time())
    finally:
        ends_at.cancel()
        await submitter.drain(0.0)


async def _seconds_after(stop: asyncio.Event, seconds: float) -> float:
    await stop.wait()
    return asyncio.get_running_loop().time() + seconds


def _route_watch(core: Core, order: Sequence[str], names: Sequence[str]) -> RouteWatch:
    book = PostgresRoutes(core.pool)

    def on_trip(route: str, diagnosis: Diagnosis) -> None:
        core.metrics.route_tripped(route, str(diagnosis.cause))
        _log.warning(
            "route_tripped", route=route, network=diagnosis.network, cause=str(diagnosis.cause)
        )

    return RouteWatch(
        book,
        core.ledger,
        wish_of=CachedWishes(book.wish_of).get,
        order=order,
        dedicated=[name for name in names if name not in (*order, TEST_ROUTE)],
        now=utc_now,
        new_request_id=_request_id,
        on_trip=on_trip,
    )
