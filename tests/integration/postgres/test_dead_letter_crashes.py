"""A dead letter's whole way over the real broker and database, killed at every step of it."""

from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import pytest
from psycopg_pool import AsyncConnectionPool

from semalink.application.bus import Delivery, Outgoing, PublishOutcome, Unobserved
from semalink.application.dead_letter_reading import DeadLetterFilter, DeadLetterView
from semalink.application.dead_letters import RepublishDeadLetter, about_of
from semalink.application.relaying import JobPayload
from semalink.application.submission import Job
from semalink.domain.dead_letter import DEAD_LETTER_PREFIX
from semalink.domain.ids import parse_id
from semalink_adapters.jetstream.abandoned import Undertaker
from semalink_adapters.jetstream.bus import JetStreamBus
from semalink_adapters.jetstream.connection import BusConnection, connect
from semalink_adapters.jetstream.source import JetStreamSource
from semalink_adapters.jetstream.streams import (
    ADVISORY_READER,
    DEAD_LETTER_READER,
    SMS_NORMAL,
    Consumed,
    Topology,
    ensure,
)
from semalink_adapters.postgres.dead_letter_work import DeadLetterWork, Republishing
from semalink_adapters.postgres.dead_letters import PostgresDeadLetters
from semalink_adapters.postgres.reports import PostgresReports
from semalink_ops.dead_lettering import DeadLetterProjector, Republisher, UnseenFinder

T = TypeVar("T")


class Killed(BaseException):
    """The process is gone, in the middle of whatever it did."""


class Fuse:
    """Counts the steps that leave a trace, and kills the process at one of them."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.steps = 0

    async def around(self, step: Coroutine[Any, Any, T]) -> T:
        """Take a step: the process may die just before it, or just after."""
        try:
            self._burn()
        except Killed:
            step.close()
            raise
        done = await step
        self._burn()
        return done

    def _burn(self) -> None:
        self.steps += 1
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Killed


@dataclass
class FusedBus:
    """A bus whose publishing may be the last thing that its process does."""

    bus: JetStreamBus
    fuse: Fuse

    @property
    def connected(self) -> bool:
        return self.bus.connected

    async def publish(self, subject: str, payload: bytes, **how: Any) -> PublishOutcome:
        return await self.fuse.around(self.bus.publish(subject, payload, **how))

    async def publish_many(self, items: Sequence[Outgoing]) -> Sequence[PublishOutcome]:
        return await self.fuse.around(self.bus.publish_many(items))

    async def poke(self, subject: str) -> None: ...

    async def on_poke(self, subject: str, callback: Any) -> None: ...


class FusedWork(DeadLetterWork):
    """Statements of which any may be the last thing that their process does."""

    def __init__(self, pool: AsyncConnectionPool[Any], fuse: Fuse) -> None:
        super().__init__(pool)
        self.fuse = fuse

    async def store(self, burials: Any) -> Any:
        return await self.fuse.around(super().store(burials))

    async def mark_republished(self, done: Sequence[Republishing]) -> None:
        await self.fuse.around(super().mark_republished(done))


@dataclass
class FusedLedger:
    """A ledger whose commit may be the last thing that its process hears of."""

    ledger: Any
    fuse: Fuse

    async def execute(self, command: Any) -> Any:
        return await self.fuse.around(self.ledger.execute(command))


class Relay:
    """What a relay does with dead letters, and what starts it again when it was killed."""

    def __init__(self, connection: BusConnection, pool: Any, desk: Any) -> None:
        self.connection = connection
        self.bus = JetStreamBus(connection)
        self.desk = desk
        self.fuse = Fuse()
        fused_bus, work = FusedBus(self.bus, self.fuse), FusedWork(pool, self.fuse)
        self.reads = PostgresDeadLetters(pool)
        self.undertaker = Undertaker(
            connection, fused_bus, observer=Unobserved(), now=lambda: datetime.now(UTC)
        )
        self.projector = DeadLetterProjector(work, FusedLedger(desk.ledger, self.fuse))
        self.reports = PostgresReports(pool)
        self.finder = UnseenFinder(work, self.projector)
        self.republisher = Republisher(work, fused_bus)

    async def bury(self) -> None:
        """Move and record whatever there is; killed at times, and started again until done."""
        await self.until_done(ADVISORY_READER, self.undertaker.handle)
        await self.until_done(DEAD_LETTER_READER, lambda one: self.projector.handle([one]))

    async def republish(self) -> None:
        """Publish whatever was decided; as above."""
        while True:
            try:
                if not await self.republisher.step():
                    return
            except Killed:
                continue

    async def until_done(self, reader: Consumed, handle: Any) -> None:
        source = JetStreamSource(self.connection, self.bus, reader)
        while taken := await source.fetch(1, 0.15):
            [delivery] = taken
            try:
                await handle(delivery)
            except Killed:
                # Nobody acknowledged it, so the next process is given it.
                await delivery.nak()
            else:
                await delivery.ack()
        await source.close()

    async def letters(self) -> Sequence[DeadLetterView]:
        return await self.reads.page(DeadLetterFilter(), before=None, limit=100)

    async def lose_worker(self) -> None:
        source = JetStreamSource(self.connection, self.bus, SMS_NORMAL)
        for _ in range(SMS_NORMAL.max_deliver):
            [delivery] = await source.fetch(1, 5)
            await delivery.nak()
        assert not await source.fetch(1, 0.1)
        await source.close()

    async def take(self) -> list[Delivery]:
        """Take everything that the queue gives."""
        source = JetStreamSource(self.connection, self.bus, SMS_NORMAL)
        taken = [*await source.fetch(10, 2)]
        for delivery in taken:
            await delivery.ack()
        await source.close()
        return list[Delivery](taken)


@pytest.fixture
async def relay(nats_url: str, pool: AsyncConnectionPool[Any], desk: Any) -> AsyncIterator[Relay]:
    connection = await connect(
        nats_url, "crashes", lambda js: ensure(js, Topology(bytes_divisor=64)), wait_seconds=10
    )
    yield Relay(connection, pool, desk)
    await connection.close()


def id_of(view: DeadLetterView) -> UUID:
    letter_id = parse_id(DEAD_LETTER_PREFIX, view.id)
    assert letter_id is not None
    return letter_id


async def test_burying_makes_one_letter_whichever_step_the_process_dies_at(relay: Relay) -> None:
    async def lose(number: int) -> None:
        await relay.bus.publish("sms.normal", b"lost", message_id=f"lost {number}")
        await relay.lose_worker()
        await relay.bury()

    await lose(0)
    steps = relay.fuse.steps
    for step in range(steps):
        relay.fuse.left = step
        await lose(step + 1)

    found = [view.message_id for view in await relay.letters()]
    assert steps == 6
    assert sorted(found) == [f"lost {number}" for number in range(steps + 1)]
    assert (await relay.connection.js.stream_info("SMS_NORMAL")).state.messages == 0
    assert (await relay.connection.js.stream_info("DLQ")).state.messages == steps + 1


async def test_republishing_delivers_once_whichever_step_the_process_dies_at(
    relay: Relay,
) -> None:
    for number in range(5):
        await relay.bus.publish("sms.normal", b"again", message_id=f"first {number}")
        await relay.lose_worker()
    await relay.bury()
    letters = await relay.letters()

    delivered = []
    for step, letter in enumerate(letters):
        relay.fuse.left = step
        decide = RepublishDeadLetter(id_of(letter), relay.desk.cause())
        await relay.desk.ledger.execute(decide)
        await relay.republish()
        delivered += await relay.take()

    # Within the window in which the broker drops the first ids.
    assert sorted(one.message_id for one in delivered) == [f"first {n}" for n in range(5)]
    assert {one.headers["Sema-Redrive"] for one in delivered} == {"1"}
    assert {letter.state for letter in await relay.letters()} == {"republished"}


async def test_a_message_that_was_given_up_is_sent_after_all(relay: Relay, books: Any) -> None:
    account_id = await relay.desk.open_account(message_count=1)
    job: Job = await relay.desk.accept_job(account_id)
    payload = msgspec.json.encode(
        JobPayload(job.message_id, job.account_id, job.billing_account_id)
    )
    await relay.bus.publish("sms.normal", payload, message_id=f"{job.message_id.hex}:0")
    await relay.lose_worker()
    await relay.bury()
    [letter] = await relay.letters()
    state = "SELECT state FROM pending_submissions WHERE message_id = %s"
    parked = books.one(state, job.message_id)

    about = about_of("sms.normal", payload)
    decide = RepublishDeadLetter(id_of(letter), relay.desk.cause(), about=about)
    await relay.desk.ledger.execute(decide)
    await relay.republish()
    [delivery] = await relay.take()
    back = msgspec.json.decode(delivery.payload, type=JobPayload)
    queued = books.one(state, back.message_id)
    await relay.desk.submit(Job(back.message_id, back.account_id, back.billing_account_id), "ref")

    assert letter.about == f"msg_{job.message_id.hex}"
    assert (parked, queued) == ("parked", "queued")
    assert not books.all(state, job.message_id)


async def test_a_letter_is_seen_when_the_process_died_before_its_event_and_the_broker_lost_it(
    relay: Relay,
) -> None:
    await relay.bus.publish("sms.normal", b"lost", message_id="lost")
    await relay.lose_worker()
    await relay.until_done(ADVISORY_READER, relay.undertaker.handle)
    source = JetStreamSource(relay.connection, relay.bus, DEAD_LETTER_READER)
    [delivery] = await source.fetch(1, 5)
    relay.fuse.left = 1
    with pytest.raises(Killed):
        await relay.projector.handle([delivery])
    await source.close()
    await relay.connection.js.purge_stream("DLQ")
    unseen = await relay.letters()

    found = [await relay.finder.step() for _ in range(3)]

    [letter] = await relay.letters()
    assert not unseen
    assert found == [0, 1, 0]
    assert (letter.state, letter.message_id) == ("waiting", "lost")


async def test_a_message_given_up_is_seen_when_its_finder_died_at_any_step(
    relay: Relay,
) -> None:
    account_id = await relay.desk.open_account(message_count=2)
    for step in range(2):
        job: Job = await relay.desk.accept_job(account_id)
        await relay.reports.park(job.message_id)
        await relay.finder.step()
        relay.fuse.left = step + 1
        with pytest.raises(Killed):
            await relay.finder.step()

    for _ in range(3):
        await relay.finder.step()

    assert len(await relay.letters()) == 2


async def test_a_letter_that_fails_again_is_another_letter(relay: Relay) -> None:
    await relay.bus.publish("sms.normal", b"poison", message_id="first")
    await relay.lose_worker()
    await relay.bury()
    [letter] = await relay.letters()

    await relay.desk.ledger.execute(RepublishDeadLetter(id_of(letter), relay.desk.cause()))
    await relay.republish()
    await relay.lose_worker()
    await relay.bury()

    second, first = await relay.letters()
    assert (first.state, second.state) == ("republished", "waiting")
    assert (first.message_id, second.message_id) == ("first", "first")
