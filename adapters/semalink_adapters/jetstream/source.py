"""One worker's share of a queue: deliveries that survive restarts and losses of the broker."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.js.api import Header
from nats.js.errors import NotFoundError

from semalink.application.bus import BrokerUnfit, Bus
from semalink_adapters.jetstream.connection import BusConnection
from semalink_adapters.jetstream.dead_letters import MESSAGE_ID_HEADER, Origin, bury
from semalink_adapters.jetstream.pull import Pull, PullRefused
from semalink_adapters.jetstream.streams import Consumed

logger = structlog.get_logger(__name__)

_EMPTY_POLLS_MAX = 3
_TROUBLE_SECONDS = (0.05, 0.5)
# How long finished work waits for a broker that is away; without an answer it is done again.
_SETTLE_SECONDS = 5.0

#: When the broker made the stream: the same name with another time is another stream.
Epoch = datetime


class JetStreamDelivery:
    """One message in hand."""

    def __init__(self, source: "JetStreamSource", message: Msg, epoch: Epoch) -> None:
        self._source = source
        self._message = message
        self._epoch = epoch
        self._headers: Mapping[str, str] = message.headers or {}
        self._metadata = message.metadata
        self._settled = False

    @property
    def subject(self) -> str:
        """The subject that it was published to."""
        return self._message.subject

    @property
    def payload(self) -> bytes:
        """The bytes that were published."""
        return self._message.data

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that were published, the trace context among them."""
        return self._headers

    @property
    def message_id(self) -> str:
        """The id that it was first published with; it stays the same when published again."""
        return self._headers.get(MESSAGE_ID_HEADER) or self._headers.get(Header.MSG_ID, "")

    @property
    def num_delivered(self) -> int:
        """How many times it was delivered, this time included."""
        return self._metadata.num_delivered

    @property
    def settled(self) -> bool:
        """Tell whether it was acknowledged, given back or terminated."""
        return self._settled

    async def ack(self) -> None:
        """Remove the message from its queue: the work is done."""
        await self._settle(Msg.Ack.Ack, patience_seconds=_SETTLE_SECONDS)

    async def nak(self, delay_seconds: float = 0) -> None:
        """Give the message back, to be delivered again after the delay."""
        delay = b" " + msgspec.json.encode({"delay": int(delay_seconds * 1e9)})
        await self._settle(Msg.Ack.Nak + (delay if delay_seconds > 0 else b""))

    async def term(self, reason: str) -> None:
        """Remove the message from its queue although the work was not done."""
        await self._settle(Msg.Ack.Term + b" " + reason.encode(), patience_seconds=_SETTLE_SECONDS)

    async def in_progress(self) -> None:
        """Say that the work goes on, so that nobody else is given the message."""
        if not self._settled:
            await self._answer(Msg.Ack.Progress)

    async def bury(self, error: Exception) -> bool:
        """Move it to the dead letters; tell whether that is done."""
        metadata = self._metadata
        origin = Origin(
            stream=metadata.stream,
            stream_created_at=self._epoch,
            sequence=metadata.sequence.stream,
            consumer=metadata.consumer,
            stored_at=metadata.timestamp,
        )
        return await bury(self._source.bus, self, origin, error, buried_at=datetime.now(UTC))

    async def give_back(self) -> None:
        """Return it unhandled, at no cost to the message."""
        if self.num_delivered < self._source.max_deliver:
            await self.nak()
        elif await self._publish_again():
            await self.ack()

    async def _publish_again(self) -> bool:
        # A nak of the last delivery would leave the message where no worker is given it.
        outcome = await self._source.bus.publish(
            self.subject,
            self.payload,
            message_id=f"again:{self._metadata.stream}:{self._metadata.sequence.stream}",
            headers={**self._headers, MESSAGE_ID_HEADER: self.message_id},
        )
        return outcome.stored

    async def _settle(self, body: bytes, *, patience_seconds: float = 0) -> None:
        if not self._settled:
            self._settled = True
            await self._answer(body, patience_seconds=patience_seconds)

    async def _answer(self, body: bytes, *, patience_seconds: float = 0) -> None:
        await self._source.answer(
            self._message.reply, body, self._epoch, patience_seconds=patience_seconds
        )


class JetStreamSource:
    """Takes messages of one queue, making again whatever of it the broker has lost."""

    def __init__(self, connection: BusConnection, bus: Bus, queue: Consumed) -> None:
        self.bus = bus
        self._connection = connection
        self._queue = queue
        self._pull: tuple[Pull, Epoch] | None = None
        self._pull_losses = -1
        self._epoch: Epoch | None = None
        self._seen_losses = -1
        self._verifying = asyncio.Lock()
        self._leftover: list[JetStreamDelivery] = []
        self._empty_polls = 0

    @property
    def name(self) -> str:
        """The name of the queue, for logs and metrics."""
        return self._queue.name

    @property
    def ack_wait_seconds(self) -> float:
        """How long a delivery may be silent before somebody else is given it."""
        return self._queue.ack_wait_seconds

    @property
    def max_deliver(self) -> int:
        """How many times a message is delivered at most."""
        return self._queue.max_deliver

    async def fetch(self, count: int, wait_seconds: float) -> Sequence[JetStreamDelivery]:
        """Return up to ``count`` messages; none when none came, whatever the broker does."""
        if self._leftover:
            taken, self._leftover = self._leftover[:count], self._leftover[count:]
            return taken
        if not await self._connection.wait_connected(wait_seconds):
            return []
        try:
            pull, epoch = await self._bound_pull()
            messages = await pull.fetch(count, wait_seconds)
            await self._watch(found=bool(messages))
        except (PullRefused, BrokerUnfit, nats.errors.Error, TimeoutError) as error:
            await self._recover(error)
            return []
        return [JetStreamDelivery(self, message, epoch) for message in messages]

    async def answer(
        self, reply: str, body: bytes, epoch: Epoch, *, patience_seconds: float
    ) -> None:
        """Answer one delivery, unless its stream is gone.

        A stream made anew counts from 1 again: an answer meant for the old one would remove a
        message that nobody has handled.
        """
        reason = "disconnected"
        try:
            if await self._connection.wait_connected(patience_seconds):
                if await self._verified_epoch() == epoch:
                    await self._connection.client.publish(reply, body)
                    return
                reason = "stream_replaced"
        except (BrokerUnfit, nats.errors.Error, TimeoutError) as error:
            reason = type(error).__name__
        logger.info("answer_dropped", queue=self.name, reason=reason)

    async def close(self) -> None:
        """Give back what was pulled and not fetched, and stop listening."""
        await self._unbind()
        leftover, self._leftover = self._leftover, []
        await asyncio.gather(*(delivery.give_back() for delivery in leftover))

    async def _bound_pull(self) -> tuple[Pull, Epoch]:
        if self._pull is None or self._pull_losses != self._connection.losses:
            await self._unbind()
            losses = self._connection.losses
            epoch = await self._verified_epoch()
            pull = Pull(self._connection.client, self._queue.stream, self._queue.consumer)
            await pull.open()
            self._pull, self._pull_losses = (pull, epoch), losses
        return self._pull

    async def _verified_epoch(self) -> Epoch:
        losses = self._connection.losses
        if self._epoch is not None and self._seen_losses == losses:
            return self._epoch
        async with self._verifying:
            if self._epoch is None or self._seen_losses != losses:
                self._epoch = await self._find_or_make()
                self._seen_losses = losses
            return self._epoch

    async def _find_or_make(self) -> Epoch:
        try:
            return await self._find()
        except NotFoundError:
            # The store was wiped, or somebody deleted the stream or its consumer.
            logger.warning("queue_missing", queue=self.name)
            await self._connection.prepare_again()
            return await self._find()

    async def _find(self) -> Epoch:
        js = self._connection.js
        await js.consumer_info(self._queue.stream, self._queue.consumer)
        created = (await js.stream_info(self._queue.stream)).created
        assert created is not None, "the broker dates every stream"
        return created

    async def _watch(self, *, found: bool) -> None:
        # A pull request can be lost without a word; the broker knows whether we miss something.
        self._empty_polls = 0 if found else self._empty_polls + 1
        if self._empty_polls < _EMPTY_POLLS_MAX:
            return
        self._empty_polls = 0
        consumer = await self._connection.js.consumer_info(self._queue.stream, self._queue.consumer)
        if consumer.num_pending:
            logger.warning("pull_renewed", queue=self.name, pending=consumer.num_pending)
            await self._unbind()

    async def _recover(self, error: Exception) -> None:
        logger.warning("queue_unavailable", queue=self.name, error_type=type(error).__name__)
        self._epoch = None
        await self._unbind()
        await asyncio.sleep(random.uniform(*_TROUBLE_SECONDS))  # noqa: S311

    async def _unbind(self) -> None:
        if self._pull is not None:
            (pull, epoch), self._pull = self._pull, None
            messages = await pull.close()
            self._leftover += [JetStreamDelivery(self, message, epoch) for message in messages]
