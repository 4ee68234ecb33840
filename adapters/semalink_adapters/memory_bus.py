"""The bus in memory: for tests and single processes, held to the same contract as the real one."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from opentelemetry.propagate import inject

from semalink.application.bus import (
    BusObserver,
    Outgoing,
    PublishOutcome,
    PublishState,
    Unobserved,
    work_count,
)
from semalink_adapters.jetstream.dead_letters import (
    MESSAGE_ID_HEADER,
    SUBJECT_PREFIX,
    Origin,
    bury,
)
from semalink_adapters.jetstream.streams import QUEUES, Queue


@dataclass(slots=True)
class _Stored:
    sequence: int
    item: Outgoing
    stored_at: datetime
    delivered: int = 0
    visible_at: float = 0


@dataclass(slots=True)
class _Work:
    queue: Queue
    messages: dict[int, _Stored] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    last_sequence: int = 0
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def store(self, item: Outgoing) -> PublishOutcome:
        if len(item.payload) > self.queue.max_message_bytes:
            return PublishOutcome(PublishState.FAILED, "too_large")
        if item.message_id in self.seen:
            return PublishOutcome(PublishState.DUPLICATE)
        self.seen.add(item.message_id)
        self.last_sequence += 1
        self.messages[self.last_sequence] = _Stored(self.last_sequence, item, datetime.now(UTC))
        self.changed.set()
        return PublishOutcome(PublishState.ACKED)

    def take(self, most: int, now: float) -> list[_Stored]:
        deliverable = [m for m in self._undelivered() if m.visible_at <= now][:most]
        for message in deliverable:
            message.delivered += 1
            message.visible_at = now + self.queue.ack_wait_seconds
        return deliverable

    def next_at(self) -> float | None:
        return min((message.visible_at for message in self._undelivered()), default=None)

    def _undelivered(self) -> list[_Stored]:
        # As on the real one, a message that was delivered for the last time stays, unseen.
        most = self.queue.max_deliver
        return [message for message in self.messages.values() if message.delivered < most]


class MemoryBus:
    """A Bus without a broker; ``connected`` may be set to play an outage."""

    def __init__(
        self, queues: Sequence[Queue] = QUEUES, *, observer: BusObserver | None = None
    ) -> None:
        self.connected = True
        self.dead_letters: list[Outgoing] = []
        self._observer = Unobserved() if observer is None else observer
        self._work = {queue.subject: _Work(queue) for queue in queues}
        self._pokes: list[tuple[str, Callable[[], None]]] = []

    async def publish(
        self,
        subject: str,
        payload: bytes,
        *,
        message_id: str,
        headers: Mapping[str, str] | None = None,
    ) -> PublishOutcome:
        """Store one message."""
        [outcome] = await self.publish_many([Outgoing(subject, payload, message_id, headers or {})])
        return outcome

    async def publish_many(self, items: Sequence[Outgoing]) -> Sequence[PublishOutcome]:
        """Store many messages; one outcome for each, in order."""
        outcomes = [self._store(item) for item in items]
        for item, outcome in zip(items, outcomes, strict=True):
            self._observer.published(item.subject, outcome.state, work_count(item.headers))
        return outcomes

    async def poke(self, subject: str) -> None:
        """Wake whoever listens."""
        self.poke_soon(subject)

    def poke_soon(self, subject: str) -> None:
        """Poke from code that cannot wait."""
        for listened, callback in self._pokes:
            if listened == subject and self.connected:
                asyncio.get_running_loop().call_soon(callback)

    async def on_poke(self, subject: str, callback: Callable[[], None]) -> None:
        """Call back at each poke from now on."""
        self._pokes.append((subject, callback))

    def source(self, queue: Queue) -> "MemorySource":
        """Return one worker's share of the queue."""
        return MemorySource(self, self._work[queue.subject])

    def count_waiting(self, queue: Queue) -> int:
        """Count the messages that the queue still holds, those in hand included."""
        return len(self._work[queue.subject].messages)

    def _store(self, item: Outgoing) -> PublishOutcome:
        if not self.connected:
            return PublishOutcome(PublishState.FAILED, "disconnected")
        headers = dict(item.headers)
        inject(headers)
        stored = Outgoing(item.subject, item.payload, item.message_id, {**headers, **item.headers})
        if item.subject.startswith(SUBJECT_PREFIX):
            return self._store_dead_letter(stored)
        works = (work for work in self._work.values() if work.queue.owns(item.subject))
        work = next(works, None)
        return work.store(stored) if work else PublishOutcome(PublishState.FAILED, "no_stream")

    def _store_dead_letter(self, item: Outgoing) -> PublishOutcome:
        if any(item.message_id == letter.message_id for letter in self.dead_letters):
            return PublishOutcome(PublishState.DUPLICATE)
        self.dead_letters.append(item)
        return PublishOutcome(PublishState.ACKED)


class MemorySource:
    """Takes messages of one queue."""

    def __init__(self, bus: MemoryBus, work: _Work) -> None:
        self._bus = bus
        self._work = work

    @property
    def name(self) -> str:
        """The name of the queue, for logs and metrics."""
        return self._work.queue.name

    @property
    def ack_wait_seconds(self) -> float:
        """How long a delivery may be silent before somebody else is given it."""
        return self._work.queue.ack_wait_seconds

    @property
    def max_deliver(self) -> int:
        """How many times a message is delivered at most."""
        return self._work.queue.max_deliver

    async def fetch(self, count: int, wait_seconds: float) -> Sequence["MemoryDelivery"]:
        """Return up to ``count`` messages: those that wait, or the first that comes in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_seconds
        while True:
            taken = self._work.take(count, loop.time()) if self._bus.connected else []
            if taken or loop.time() >= deadline:
                return [MemoryDelivery(self._bus, self._work, message) for message in taken]
            await self._wait_for_change(deadline)

    async def close(self) -> None:
        """Do nothing: what was taken was returned."""

    async def _wait_for_change(self, deadline: float) -> None:
        self._work.changed.clear()
        next_at = self._work.next_at()
        try:
            async with asyncio.timeout_at(min(deadline, next_at or deadline)):
                await self._work.changed.wait()
        except TimeoutError:
            # A message became visible, or the wait is over: the caller looks which.
            return


class MemoryDelivery:
    """One message in hand."""

    def __init__(self, bus: MemoryBus, work: _Work, stored: _Stored) -> None:
        self._bus = bus
        self._work = work
        self._stored = stored
        self._settled = False
        self.num_delivered = stored.delivered
        self.subject = stored.item.subject
        self.payload = stored.item.payload
        self.headers: Mapping[str, str] = stored.item.headers
        self.message_id = self.headers.get(MESSAGE_ID_HEADER, stored.item.message_id)

    @property
    def settled(self) -> bool:
        """Tell whether it was acknowledged, given back or terminated."""
        return self._settled

    async def ack(self) -> None:
        """Remove the message from its queue: the work is done."""
        self._settled = True
        self._work.messages.pop(self._stored.sequence, None)

    async def nak(self, delay_seconds: float = 0) -> None:
        """Give the message back, to be delivered again after the delay."""
        self._settled = True
        self._stored.visible_at = asyncio.get_running_loop().time() + delay_seconds
        self._work.changed.set()

    async def term(self, reason: str) -> None:
        """Remove the message from its queue although the work was not done."""
        await self.ack()

    async def in_progress(self) -> None:
        """Say that the work goes on, so that nobody else is given the message."""
        if not self._settled:
            now = asyncio.get_running_loop().time()
            self._stored.visible_at = now + self._work.queue.ack_wait_seconds

    async def bury(self, error: Exception) -> bool:
        """Move it to the dead letters; tell whether that is done."""
        queue = self._work.queue
        origin = Origin(
            queue.stream,
            self._work.created_at,
            self._stored.sequence,
            queue.consumer,
            self._stored.stored_at,
        )
        return await bury(self._bus, self, origin, error, buried_at=datetime.now(UTC))

    async def give_back(self) -> None:
        """Return it unhandled, at no cost to the message."""
        self._stored.delivered -= 1
        await self.nak()
