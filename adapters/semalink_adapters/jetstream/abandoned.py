"""What workers left in a queue when they died: found by the broker's notice, or by looking."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
import nats.errors
import structlog
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from semalink.application.bus import Bus, BusObserver, Delivery, NotReady, PublishState
from semalink_adapters.jetstream.connection import BusConnection
from semalink_adapters.jetstream.dead_letters import (
    MESSAGE_ID_HEADER,
    Origin,
    Undone,
    letter_of,
)
from semalink_adapters.jetstream.streams import MAX_DELIVERIES, QUEUES, Queue

ERROR_TYPE = "worker_lost"
ERROR = "It was delivered as often as it may be, and no worker finished it."

#: How much longer than all its deliveries may take a message is believed to be in hand.
_PATIENCE = 2
#: How many are moved in one round; the next one goes on.
_MOVED_MAX = 1_000

_log = structlog.get_logger(__name__)


class _Advisory(msgspec.Struct):
    stream: str
    consumer: str
    stream_seq: int
    deliveries: int
    timestamp: datetime


_advisories = msgspec.json.Decoder(_Advisory)


@dataclass(slots=True)
class _Look:
    """What the rounds before saw of one queue."""

    stuck_count: int = 0
    #: When so much was delivered: the newest sequence then.
    delivered: deque[tuple[datetime, int]] = field(default_factory=deque)

    def settled_until(self, now: datetime, queue: Queue, delivered: int) -> int:
        """Return up to where nothing is in hand any more, and note what is delivered by now.

        The broker's own mark of that stands still at the first message that it gave up, for as
        long as anything else is in hand.
        """
        in_hand = timedelta(seconds=_PATIENCE * queue.max_deliver * queue.ack_wait_seconds)
        until = 0
        while self.delivered and self.delivered[0][0] <= now - in_hand:
            until = self.delivered.popleft()[1]
        if until:
            self.delivered.appendleft((now - in_hand, until))
        self.delivered.append((now, delivered))
        return until


class Undertaker:
    """Moves to the dead letters what no worker can: it was delivered too often.

    A worker that gives a message up moves it itself; both make the same dead letter, which the
    broker stores once.
    """

    def __init__(
        self,
        connection: BusConnection,
        bus: Bus,
        *,
        observer: BusObserver,
        now: Callable[[], datetime],
        queues: Sequence[Queue] = QUEUES,
    ) -> None:
        self._connection = connection
        self._bus = bus
        self._observer = observer
        self._now = now
        self._queues = {queue.stream: queue for queue in queues}
        self._looks: dict[str, _Look] = {}

    async def handle(self, notice: Delivery) -> None:
        """Move the message that the broker gave up; raises NotReady while the broker is away."""
        if not notice.subject.startswith(MAX_DELIVERIES):
            # Whoever terminated a message had moved it before.
            return
        try:
            advisory = _advisories.decode(notice.payload)
        except msgspec.MsgspecError:
            _log.warning("advisory_unreadable")
            return
        queue = self._queues.get(advisory.stream)
        if queue is None or queue.consumer != advisory.consumer:
            return
        try:
            await self._move_named(queue, advisory)
        except (nats.errors.Error, TimeoutError) as away:
            raise NotReady(type(away).__name__) from away

    async def sweep(self) -> dict[str, int]:
        """Move what is stuck for the second time; return how much is stuck in each queue.

        The broker tells once that it gave a message up, and nobody may have listened.
        """
        found: dict[str, int] = {}
        for queue in self._queues.values():
            try:
                found[queue.name] = await self._sweep_queue(queue)
            except NotFoundError:
                self._looks.pop(queue.stream, None)
            except (nats.errors.Error, TimeoutError) as away:
                _log.warning("sweep_postponed", queue=queue.name, error_type=type(away).__name__)
        return found

    async def _move_named(self, queue: Queue, advisory: _Advisory) -> None:
        js = self._connection.js
        try:
            created_at = await _created_at(js, queue)
            if created_at > advisory.timestamp:
                # Another message has the sequence in the stream that took the lost one's place.
                return
            message = await js.get_msg(queue.stream, advisory.stream_seq)
        except NotFoundError:
            return
        if not await self._move(queue, message, created_at, advisory.deliveries):
            msg = "The broker did not take the dead letter."
            raise NotReady(msg)

    async def _sweep_queue(self, queue: Queue) -> int:
        js = self._connection.js
        stream = await js.stream_info(queue.stream)
        consumer = await js.consumer_info(queue.stream, queue.consumer)
        in_hand = (consumer.num_pending or 0) + (consumer.num_ack_pending or 0)
        stuck_count = max(0, stream.state.messages - in_hand)
        delivered = consumer.delivered.stream_seq if consumer.delivered else 0
        look = self._looks.setdefault(queue.stream, _Look())
        # The two counts are not of one moment, so what both rounds saw is believed.
        certain_count = min(stuck_count, look.stuck_count)
        look.stuck_count = stuck_count
        until = look.settled_until(self._now(), queue, delivered)
        if not consumer.num_ack_pending:
            # Nothing is in hand: what was delivered and is still there has no one.
            until = delivered
        if certain_count:
            await self._walk(queue, stream, until, min(certain_count, _MOVED_MAX))
        return stuck_count

    async def _walk(self, queue: Queue, stream: api.StreamInfo, until: int, count: int) -> None:
        created_at = stream.created or datetime.fromtimestamp(0, UTC)
        sequence = stream.state.first_seq
        for _ in range(count):
            try:
                message = await self._connection.js.get_msg(
                    queue.stream, sequence, subject=queue.subject, next=True
                )
            except NotFoundError:
                return
            if message.seq is None or message.seq > until:
                return
            if not await self._move(queue, message, created_at, queue.max_deliver):
                return
            sequence = message.seq + 1

    async def _move(
        self, queue: Queue, message: api.RawStreamMsg, created_at: datetime, deliveries: int
    ) -> bool:
        headers = message.headers or {}
        sequence, stored_at = message.seq, message.time
        assert sequence is not None, "a stored message has a place"
        assert stored_at is not None, "the broker dates every message"
        undone = Undone(
            subject=message.subject or queue.subject,
            payload=message.data or b"",
            headers=headers,
            message_id=headers.get(MESSAGE_ID_HEADER) or headers.get(api.Header.MSG_ID, ""),
            delivery_count=deliveries,
            error_type=ERROR_TYPE,
            error=ERROR,
        )
        origin = Origin(queue.stream, created_at, sequence, queue.consumer, stored_at)
        letter = letter_of(undone, origin, self._now())
        outcome = await self._bus.publish(
            letter.subject, letter.payload, message_id=letter.message_id, headers=letter.headers
        )
        if not outcome.stored:
            return False
        if outcome.state is PublishState.ACKED:
            self._observer.dead_lettered(queue.name, ERROR_TYPE)
            _log.error("message_abandoned", queue=queue.name, message_id=undone.message_id)
        try:
            await self._connection.js.delete_msg(queue.stream, sequence)
        except NotFoundError:
            # A worker that buried it at the same time removed it.
            return True
        return True


async def _created_at(js: JetStreamContext, queue: Queue) -> datetime:
    return (await js.stream_info(queue.stream)).created or datetime.fromtimestamp(0, UTC)
