"""What a worker does with a job of a lane."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec

from semalink.application.bus import Delivery, NotReady, PoisonMessage
from semalink.application.relaying import JobPayload
from semalink.application.submission import Job, Wait
from semalink.application.submitting import Submitter
from semalink.domain.ids import MESSAGE_PREFIX, format_id
from semalink_adapters.jetstream.streams import SMS_NORMAL
from semalink_ops.observability.metrics import Metrics
from semalink_ops.observability.tracing import Tracing
from semalink_ops.runtime import utc_now

_jobs = msgspec.json.Decoder(JobPayload)


class SubmissionTelemetry:
    """Turns what submissions tell into metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def handed_over(self, lane: str, seconds: float) -> None:
        """Record how long the message waited."""
        self._metrics.message_submitted(lane, seconds)

    def submitted(self, aggregator: str, seconds: float, result: str) -> None:
        """Record how the aggregator answered."""
        self._metrics.provider_answered(aggregator, seconds)
        if result != "accepted":
            self._metrics.provider_failed(aggregator, result)


class SubmitHandler:
    """Reads a job from a delivery and submits its message."""

    def __init__(
        self, submitter: Submitter, park: Callable[[UUID], Awaitable[None]], tracing: Tracing
    ) -> None:
        self._submitter = submitter
        self._park = park
        self._tracing = tracing

    async def handle(self, delivery: Delivery) -> None:
        """Submit; a job that fails for the last time is parked, so that nothing refills it."""
        try:
            payload = _jobs.decode(delivery.payload)
        except msgspec.MsgspecError as unreadable:
            msg = "unreadable_job"
            raise PoisonMessage(msg) from unreadable
        job = Job(
            payload.message_id,
            payload.account_id,
            payload.billing_account_id,
            payload.campaign_id,
        )
        message_id = format_id(MESSAGE_PREFIX, job.message_id)
        try:
            with self._tracing.work("submit", delivery.headers, message_id=message_id):
                wait = await self._submitter.submit(job)
        except NotReady:
            raise
        except Exception:
            if delivery.num_delivered >= SMS_NORMAL.max_deliver:
                await self._park(job.message_id)
            raise
        if wait is not None:
            await self._wait(delivery, wait)

    async def _wait(self, delivery: Delivery, wait: Wait) -> None:
        # Giving back costs a delivery, so on the last one the wait is spent in hand.
        if delivery.num_delivered >= SMS_NORMAL.max_deliver:
            msg = "another worker may be in the middle of the call"
            raise NotReady(msg)
        await delivery.nak(max(0.0, (wait.until - utc_now()).total_seconds()))
