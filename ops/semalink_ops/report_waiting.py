"""What the DLR worker does about reports that do not come: it asks, and in the end gives up."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import structlog

from semalink.application.awaited_reports import ReportPoller, ReportTimeouts
from semalink.application.bus import NotReady
from semalink.application.ports import Aggregator
from semalink.domain.report_polling import can_be_asked
from semalink_adapters.postgres.awaited_reports import PostgresAwaitedReports
from semalink_adapters.postgres.raw_reports import RawReportWriter
from semalink_ops.bootstrap import Core
from semalink_ops.observability.step_log import LoggedLedger
from semalink_ops.runtime import utc_now, wait_for_stop

POLL_SECONDS = 1.0
GIVE_UP_SECONDS = 10.0
COUNT_SECONDS = 15.0

_log = structlog.get_logger(__name__)


async def ask_for_reports(
    core: Core, aggregators: Mapping[str, Aggregator], stop: asyncio.Event
) -> None:
    """Ask every aggregator that can be asked until the stop; several workers share the budget."""
    awaited = PostgresAwaitedReports(core.pool)
    raw_reports = RawReportWriter(core.pool, now=utc_now, new_id=core.new_id)
    pollers = [
        ReportPoller(
            aggregators[name],
            awaited,
            raw_reports,
            polls_per_second=core.settings.report_polls_per_second,
            now=utc_now,
            observer=core.metrics,
        )
        for name in aggregators
        if can_be_asked(name)
    ]
    await asyncio.gather(*(_ask(poller, stop) for poller in pollers))


async def _ask(poller: ReportPoller, stop: asyncio.Event) -> None:
    while not await wait_for_stop(stop, POLL_SECONDS):
        try:
            await poller.poll()
        except NotReady:
            _log.warning("report_polling_postponed")


async def count_awaited_reports(
    core: Core, aggregators: Mapping[str, Aggregator], stop: asyncio.Event
) -> None:
    """Tell until the stop how much is awaited of each aggregator."""
    awaited = PostgresAwaitedReports(core.pool)
    pause_seconds = 0.0
    while not await wait_for_stop(stop, pause_seconds):
        try:
            counts = await awaited.count()
        except NotReady:
            _log.warning("awaited_reports_not_counted")
        else:
            for aggregator in aggregators:
                core.metrics.reports_awaited(aggregator, counts.get(aggregator, 0))
        pause_seconds = COUNT_SECONDS


async def give_up_on_reports(core: Core, stop: asyncio.Event) -> None:
    """End what was waited for long enough until the stop."""
    awaited = PostgresAwaitedReports(core.pool)
    timeouts = ReportTimeouts(
        LoggedLedger(core.ledger),
        awaited,
        wait=timedelta(seconds=core.settings.report_wait_seconds),
        now=utc_now,
        observer=core.metrics,
    )
    pause_seconds = 0.0
    while not await wait_for_stop(stop, pause_seconds):
        try:
            ended = await timeouts.sweep()
        except NotReady:
            _log.warning("report_time_outs_postponed")
            ended = 0
        pause_seconds = POLL_SECONDS if ended else GIVE_UP_SECONDS
