"""Taking delivery reports in: stored as they came before the aggregator hears yes."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from semalink.application.bus import Bus, NotReady
from semalink.application.relaying import REPORT_QUEUE, ReportPayload


class ReportStoreUnavailable(Exception):
    """Neither the database nor the broker could take the report; the aggregator must retry."""


class RawReports(Protocol):
    """Where raw reports are stored and put on the work list."""

    async def store_raw(self, aggregator: str, content_type: str, body: bytes) -> None:
        """Store one report durably; raises NotReady while the database is away."""
        ...


class ReportIntake:
    """Stores a report in the database, or in the broker while the database is away."""

    def __init__(
        self,
        reports: RawReports,
        bus: Bus,
        *,
        now: Callable[[], datetime],
        new_id: Callable[[], UUID],
        on_stored: Callable[[], None],
    ) -> None:
        self._reports = reports
        self._bus = bus
        self._now = now
        self._new_id = new_id
        self._on_stored = on_stored

    async def store(self, aggregator: str, content_type: str, body: bytes) -> None:
        """Make one report durable; raises ReportStoreUnavailable."""
        try:
            await self._reports.store_raw(aggregator, content_type, body)
        except NotReady:
            await self._store_in_broker(aggregator, content_type, body)
        else:
            self._on_stored()

    async def _store_in_broker(self, aggregator: str, content_type: str, body: bytes) -> None:
        payload = ReportPayload(self._new_id(), aggregator, content_type, body, self._now())
        outcome = await self._bus.publish(
            REPORT_QUEUE, msgspec.json.encode(payload), message_id=payload.report_id.hex
        )
        if not outcome.stored:
            msg = "Neither the database nor the broker could take the report."
            raise ReportStoreUnavailable(msg)
