"""Delivery reports out of their queue: bundles at once, and one by one what fails."""

from collections.abc import Sequence

import structlog

from semalink.application.bus import Bus, Delivery, NotReady, PoisonMessage, Replaced
from semalink.application.relaying import ReportPayload
from semalink.application.report_bundles import (
    DELIVERIES_TOGETHER_MAX,
    one_by_one,
    reports_of,
)
from semalink.application.reporting import ReportProcessor
from semalink_adapters.jetstream.streams import DLR_INBOUND

_log = structlog.get_logger(__name__)


class ReportHandler:
    """Reads reports from deliveries and processes them."""

    def __init__(self, processor: ReportProcessor, bus: Bus) -> None:
        self._processor = processor
        self._bus = bus

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Process; raises Replaced for a bundle whose reports go on one by one.

        A message whose batch fails comes again alone. A report that fails for the last time is set
        aside, so that nothing refills it.
        """
        reports: list[ReportPayload] = []
        for delivery in deliveries:
            reports += await self._reports_of(delivery)
        try:
            await self._processor.process(reports)
        except NotReady:
            raise
        except Exception as error:
            if len(deliveries) > 1:
                raise
            [delivery] = deliveries
            if len(reports) > 1:
                await self._split(delivery, reports, type(error).__name__)
                raise Replaced from error
            last = delivery.num_delivered >= DLR_INBOUND.max_deliver
            if reports and last and not isinstance(error, PoisonMessage):
                await self._processor.set_aside(reports[0])
            raise

    async def _reports_of(self, delivery: Delivery) -> Sequence[ReportPayload]:
        """Return what is to be processed now: nothing of a bundle that came too often."""
        reports = reports_of(delivery.payload)
        if len(reports) == 1 or delivery.num_delivered <= DELIVERIES_TOGETHER_MAX:
            return reports
        await self._split(delivery, reports, "delivered_often")
        return []

    async def _split(
        self, delivery: Delivery, reports: Sequence[ReportPayload], reason: str
    ) -> None:
        """Have each report handed over by itself; raises NotReady until the broker has them all."""
        outcomes = await self._bus.publish_many(one_by_one(reports, delivery.message_id))
        if not all(outcome.stored for outcome in outcomes):
            msg = "The broker did not take the reports of a bundle."
            raise NotReady(msg)
        _log.warning("report_bundle_split", count=len(reports), reason=reason)
