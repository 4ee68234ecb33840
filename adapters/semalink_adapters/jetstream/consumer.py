"""The loop between a queue and a handler: who is given what, and what becomes of it."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from opentelemetry import context, propagate

from semalink.application.bus import (
    BusObserver,
    Delivery,
    NotReady,
    PoisonMessage,
    Replaced,
    Unobserved,
    work_count,
)
from semalink_adapters.jetstream.dead_letters import explain
from semalink_adapters.jetstream.lanes import OPEN_LANE, Lane

logger = structlog.get_logger(__name__)

_BURIALS_MAX = 3


class Held(Delivery, Protocol):
    """A delivery as the loop holds it."""

    async def in_progress(self) -> None:
        """Say that the work goes on, so that nobody else is given the message."""
        ...

    async def bury(self, error: Exception) -> bool:
        """Move it to the dead letters; tell whether that is done."""
        ...

    async def give_back(self) -> None:
        """Return it unhandled, at no cost to the message."""
        ...


class Source(Protocol):
    """Where the loop takes deliveries from."""

    @property
    def name(self) -> str:
        """The name of the queue, for logs and metrics."""
        ...

    @property
    def ack_wait_seconds(self) -> float:
        """How long a delivery may be silent before somebody else is given it."""
        ...

    @property
    def max_deliver(self) -> int:
        """How many times a message is delivered at most."""
        ...

    async def fetch(self, count: int, wait_seconds: float) -> Sequence[Held]:
        """Return up to ``count`` messages; none when none came."""
        ...

    async def close(self) -> None:
        """Give back what was not fetched."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one loop."""

    #: Calls of the handler at one time.
    concurrency: int = 32
    #: Deliveries asked for at once; those not yet at work wait in hand.
    batch: int = 64
    poll_seconds: float = 1.0
    #: How long work in hand may take after the stop; longer than a call over the network may.
    drain_seconds: float = 18.0
    #: Waits after the first, second, … failed delivery.
    retry_delays_seconds: tuple[float, ...] = (1.0, 5.0, 15.0, 30.0)
    #: First and longest wait before what was not ready is tried again.
    not_ready_seconds: tuple[float, float] = (0.2, 5.0)


Batch = Sequence[Held]


async def consume_each(
    source: Source,
    handler: Callable[[Delivery], Awaitable[None]],
    *,
    stop: asyncio.Event,
    limits: Limits | None = None,
    lane: Lane = OPEN_LANE,
    observer: BusObserver | None = None,
) -> None:
    """Give the handler one message a call, many calls at a time, until the stop."""

    async def handle(batch: Batch) -> None:
        [delivery] = batch
        # The work belongs to the trace of the request that caused it.
        token = context.attach(propagate.extract(delivery.headers))
        try:
            await handler(delivery)
        finally:
            context.detach(token)

    loop = _Loop(source, handle, stop, limits or Limits(), observer)
    await loop.run(lane, unit=1)


async def consume_batches(
    source: Source,
    handler: Callable[[Sequence[Delivery]], Awaitable[None]],
    *,
    stop: asyncio.Event,
    limits: Limits | None = None,
    lane: Lane = OPEN_LANE,
    observer: BusObserver | None = None,
) -> None:
    """Give the handler up to ``limits.batch`` messages a call, until the stop.

    When a call fails, each of its messages is given to the handler alone, so that one bad message
    costs the others nothing.
    """
    chosen = limits or Limits(concurrency=2, batch=500)
    loop = _Loop(source, handler, stop, chosen, observer)
    await loop.run(lane, unit=chosen.batch)


class _Loop:
    def __init__(
        self,
        source: Source,
        handler: Callable[[Batch], Awaitable[None]],
        stop: asyncio.Event,
        limits: Limits,
        observer: BusObserver | None,
    ) -> None:
        self._source = source
        self._handler = handler
        self._stop = stop
        self._limits = limits
        # Compared with None: an observer that counts nothing yet may be false.
        self._observer = Unobserved() if observer is None else observer
        self._waiting: asyncio.Queue[Batch | None] = asyncio.Queue()
        self._room = asyncio.Event()
        #: Everything fetched and not settled; a dict, because it keeps the order.
        self._in_hand: dict[int, Held] = {}

    async def run(self, lane: Lane, *, unit: int) -> None:
        """Work until the stop, and leave nothing in hand."""
        workers = [asyncio.create_task(self._serve()) for _ in range(self._limits.concurrency)]
        feeder = asyncio.create_task(self._feed(lane, unit))
        ticker = asyncio.create_task(self._tick())
        stopper = asyncio.create_task(self._wake_at_stop())
        tasks = [*workers, feeder, ticker, stopper]
        try:
            # The feeder ends at the stop; that another task ends before it is a bug.
            await asyncio.wait([*workers, feeder, ticker], return_when=asyncio.FIRST_COMPLETED)
            await self._give_back_waiting()
            await asyncio.wait(workers, timeout=self._limits.drain_seconds)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await self._give_back(list(self._in_hand.values()))
            await self._source.close()
        for result in ended:
            if isinstance(result, Exception):
                raise result

    async def _feed(self, lane: Lane, unit: int) -> None:
        while not self._stop.is_set():
            room = self._limits.batch - self._waiting.qsize() * unit
            # Asking for one at a time would cost a round trip each.
            if room < max(1, self._limits.batch // 2):
                self._room.clear()
                await self._room.wait()
                continue
            await lane.wait_for_turn()
            deliveries = await self._source.fetch(room, self._limits.poll_seconds)
            lane.fetched(full=len(deliveries) == room)
            self._take(deliveries, unit)

    def _take(self, deliveries: Batch, unit: int) -> None:
        if deliveries:
            count = sum(work_count(delivery.headers) for delivery in deliveries)
            self._observer.delivered(self._source.name, count)
        self._in_hand.update((id(delivery), delivery) for delivery in deliveries)
        for start in range(0, len(deliveries), unit):
            self._waiting.put_nowait(deliveries[start : start + unit])

    async def _serve(self) -> None:
        while (batch := await self._waiting.get()) is not None:
            self._room.set()
            # After the stop only what was begun is finished.
            await (self._give_back(batch) if self._stop.is_set() else self._work(batch))
            for delivery in batch:
                del self._in_hand[id(delivery)]

    async def _work(self, batch: Batch) -> None:
        waits = 0
        while open_ := [delivery for delivery in batch if not delivery.settled]:
            error = await self._attempt(open_)
            if error is None or isinstance(error, Replaced):
                await self._ack(open_)
            elif isinstance(error, NotReady):
                waits += 1
                if await self._stopped_within(self._not_ready_seconds(waits)):
                    await self._give_back(open_)
                    return
            elif len(open_) > 1:
                for delivery in open_:
                    await self._work([delivery])
            else:
                await self._fail(open_[0], error)

    async def _attempt(self, batch: Batch) -> Exception | None:
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        try:
            await self._handler(batch)
        except Exception as error:  # noqa: BLE001
            # The one place where any failure is caught: what fails is judged, not the loop.
            return error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Something inside the handler was cancelled, and nobody asked us to end.
            return RuntimeError("The handler was cancelled from within.")
        finally:
            self._observer.handled(self._source.name, loop.time() - started_at)
        return None

    async def _ack(self, batch: Batch) -> None:
        for delivery in batch:
            if not delivery.settled:
                await delivery.ack()
                self._observer.acked(self._source.name)

    async def _fail(self, delivery: Held, error: Exception) -> None:
        logger.warning(
            "delivery_failed",
            queue=self._source.name,
            message_id=delivery.message_id,
            num_delivered=delivery.num_delivered,
            error_type=type(error).__name__,
            explanation=explain(error),
        )
        last = delivery.num_delivered >= self._source.max_deliver
        if (last or isinstance(error, PoisonMessage)) and await self._bury(delivery, error):
            return
        delays = self._limits.retry_delays_seconds
        await delivery.nak(delays[min(delivery.num_delivered, len(delays)) - 1])
        self._observer.naked(self._source.name, work_count(delivery.headers))

    async def _bury(self, delivery: Held, error: Exception) -> bool:
        for _ in range(_BURIALS_MAX):
            if await delivery.bury(error):
                self._observer.dead_lettered(self._source.name, type(error).__name__)
                return True
            if self._stop.is_set():
                break
        # It stays in its stream, where the broker's notice and the sweeper find it.
        logger.error("dead_letter_not_stored", message_id=delivery.message_id)
        return False

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._source.ack_wait_seconds / 3)
            for delivery in list(self._in_hand.values()):
                await delivery.in_progress()

    async def _wake_at_stop(self) -> None:
        await self._stop.wait()
        self._room.set()

    async def _give_back_waiting(self) -> None:
        waiting: list[Held] = []
        while not self._waiting.empty():
            waiting += self._waiting.get_nowait() or ()
        for _ in range(self._limits.concurrency):
            self._waiting.put_nowait(None)
        await self._give_back(waiting)
        for delivery in waiting:
            del self._in_hand[id(delivery)]

    async def _give_back(self, batch: Batch) -> None:
        unsettled = [delivery for delivery in batch if not delivery.settled]
        await asyncio.gather(*(delivery.give_back() for delivery in unsettled))
        for delivery in unsettled:
            self._observer.naked(self._source.name, work_count(delivery.headers))

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return False
        return True

    def _not_ready_seconds(self, waits: int) -> float:
        first, longest = self._limits.not_ready_seconds
        return float(min(longest, first * 2 ** min(waits - 1, 16)) * random.uniform(0.5, 1.0))  # noqa: S311
