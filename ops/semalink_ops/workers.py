"""The processes of delivery reports and of the relay."""

import asyncio

import psycopg
import structlog

from semalink.application.bus import NotReady
from semalink.application.relaying import POKE_SUBJECT
from semalink.application.reporting import ReportProcessor
from semalink_adapters.jetstream.consumer import Limits, consume_batches
from semalink_adapters.jetstream.source import JetStreamSource
from semalink_adapters.jetstream.streams import DLR_INBOUND
from semalink_adapters.postgres.housekeeping import keep_house
from semalink_adapters.postgres.reports import PostgresReports
from semalink_ops.archiving.standing import read_standing
from semalink_ops.bootstrap import Core, open_aggregators
from semalink_ops.checkpointing import sign_checkpoints
from semalink_ops.dead_letter_keeping import keep_dead_letters
from semalink_ops.ledger_keeping import keep_credits
from semalink_ops.observability.archive_metrics import ArchiveMetrics
from semalink_ops.observability.step_log import LoggedLedger
from semalink_ops.recoveries import run_recoveries
from semalink_ops.relay_leading import carry_on
from semalink_ops.report_handling import ReportHandler
from semalink_ops.report_waiting import (
    ask_for_reports,
    count_awaited_reports,
    give_up_on_reports,
)
from semalink_ops.runtime import (
    FINISH_SECONDS,
    background,
    utc_now,
    wait_for_stop,
)
from semalink_ops.stall_watching import watch_for_stalls
from semalink_ops.task_publishing import publish_tasks
from semalink_ops.webhook_dispatch import dispatch_webhooks

SWEEP_SECONDS = 1.0
HOUSEKEEPING_SECONDS = 3_600.0
RETRY_SECONDS = 0.5
#: Each may be a bundle of reports.
MESSAGES_AT_ONCE = 6

_log = structlog.get_logger(__name__)


async def run_dlr_worker(core: Core, stop: asyncio.Event) -> None:
    """Apply delivery reports until the stop, and sweep the shelf."""
    book = PostgresReports(core.pool)
    async with open_aggregators(core.settings) as aggregators:
        processor = ReportProcessor(
            LoggedLedger(core.ledger),
            book,
            aggregators,
            now=utc_now,
            observe=core.metrics.report_received,
            shared_senders=frozenset(core.settings.shared_senders),
        )

        handler = ReportHandler(processor, core.bus)
        source = JetStreamSource(core.connection, core.bus, DLR_INBOUND)
        async with background(
            _sweep(core, processor, book, stop),
            ask_for_reports(core, aggregators, stop),
            give_up_on_reports(core, stop),
            count_awaited_reports(core, aggregators, stop),
            finish_seconds=FINISH_SECONDS,
        ):
            await consume_batches(
                source,
                handler.handle,
                stop=stop,
                limits=Limits(concurrency=2, batch=MESSAGES_AT_ONCE, not_ready_seconds=(0.2, 1.0)),
                observer=core.bus_metrics,
            )


async def _sweep(
    core: Core, processor: ReportProcessor, book: PostgresReports, stop: asyncio.Event
) -> None:
    while not await wait_for_stop(stop, SWEEP_SECONDS):
        try:
            await processor.sweep()
            core.metrics.reports_shelved(await book.count_shelved())
        except NotReady:
            _log.warning("sweep_postponed")


async def run_relay(core: Core, stop: asyncio.Event) -> None:
    """Carry work to the broker until the stop, and keep house; a second relay stands by."""
    poked = asyncio.Event()
    await core.bus.on_poke(POKE_SUBJECT, poked.set)
    async with background(
        _keep_house(core, stop),
        keep_credits(core, stop),
        sign_checkpoints(core, stop),
        run_recoveries(core, stop),
        dispatch_webhooks(core, stop),
        publish_tasks(core, stop),
        keep_dead_letters(core, stop),
        watch_for_stalls(core, stop),
        finish_seconds=FINISH_SECONDS,
    ):
        await carry_on(core, poked, stop)


async def _keep_house(core: Core, stop: asyncio.Event) -> None:
    pause_seconds = 0.0
    archive = ArchiveMetrics(core.metrics)
    while not await wait_for_stop(stop, pause_seconds):
        try:
            made, dropped = await asyncio.to_thread(
                keep_house, core.settings.database_url.reveal(), utc_now()
            )
            archive.seen(await asyncio.to_thread(read_standing, core.settings, utc_now()))
        except psycopg.OperationalError:
            _log.warning("housekeeping_postponed")
            pause_seconds = RETRY_SECONDS * 20
        else:
            _log.info("house_kept", partitions=made, rows_dropped=dropped)
            pause_seconds = HOUSEKEEPING_SECONDS
