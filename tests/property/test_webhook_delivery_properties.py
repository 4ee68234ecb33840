"""Deliveries, whatever is lost, doubled or crashes: every attempt that was made is known."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.application.webhook_dispatching import LOST_AFTER, Dispatcher, Room, Ticket
from semalink.application.webhook_sending import LEASE, Claimed, Outcome, Sender
from semalink.domain.cause import Cause
from semalink.domain.webhook_delivery import Attempt, Subject, Trigger, WebhookDelivery
from semalink.domain.webhook_endpoint import EndpointTerms, WebhookEndpoint
from semalink_adapters.jetstream.streams import WEBHOOKS_OUTBOUND
from semalink_adapters.memory_bus import MemoryBus
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_webhooks import MemoryWebhooks

START = datetime(2026, 11, 25, 9, tzinfo=UTC)
ACCOUNT = UUID(int=0xACC0)
ENDPOINTS = (UUID(int=0xE1), UUID(int=0xE2))
ATTEMPTS_MAX = 6


@dataclass(frozen=True)
class Change(PlainCommand):
    """Does what other parts do."""

    by: Callable[[Books], Any]
    cause: Cause
    settings: tuple[UUID, ...] = ()
    deliveries: tuple[UUID, ...] = ()

    def needs(self, needs: Needs) -> None:
        """What is named."""
        needs.settings.update(self.settings)
        needs.deliveries.update(self.deliveries)

    def decide(self, books: Books) -> None:
        self.by(books)


class Quiet:
    """Hears everything and counts nothing."""

    def attempted(self, result: str, seconds: float) -> None:
        """Do nothing."""

    def put_off(self, count: int) -> None:
        """Do nothing."""

    def breaker_opened(self) -> None:
        """Do nothing."""

    def endpoint_disabled(self) -> None:
        """Do nothing."""

    def owner_warned(self) -> None:
        """Do nothing."""


class Receiver:
    """A customer's server that counts requests."""

    def __init__(self) -> None:
        self.seen: Counter[UUID] = Counter()
        self.taken: set[UUID] = set()
        self.refuses = False
        self.crashes_next = False
        #: What happens while the next request is under way.
        self.meanwhile: Callable[[], Awaitable[Any]] | None = None

    async def deliver(self, claimed: Claimed) -> Outcome:
        self.seen[claimed.delivery_id] += 1
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        if not self.refuses:
            self.taken.add(claimed.delivery_id)
        if self.crashes_next:
            self.crashes_next = False
            # The process ends after the request left.
            raise asyncio.CancelledError
        outcome, status = ("failed", 500) if self.refuses else ("delivered", 200)
        error_class = "status" if self.refuses else None
        return Outcome(Attempt(claimed.attempt_no, outcome, claimed.url, status, error_class, 1))


class Deliveries(RuleBasedStateMachine):
    """A dispatcher and workers that come and go, over one ledger and one broker."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = MemoryClock(START)
        self.ledger = MemoryLedger()
        self.webhooks = MemoryWebhooks(self.ledger, self.clock.now)
        self.bus = MemoryBus()
        self.receiver = Receiver()
        #: Attempts that were made and that a crash may have kept from being recorded.
        self.windows = 0
        self.tickets: list[Ticket] = []
        self.count = 0
        #: Rounds that were opened beside the first.
        self.rounds: Counter[UUID] = Counter()
        self.recoveries = 0
        self.start_processes()
        for endpoint_id in ENDPOINTS:
            terms = EndpointTerms("https://example.com/", ("*",), concurrency=2)
            endpoint = WebhookEndpoint.register(endpoint_id, ACCOUNT, terms, self.cause())
            self.ledger.decide(Change(lambda books, new=endpoint: books.add(new), self.cause()))

    def teardown(self) -> None:
        self.heal_and_finish()
        self.runner.close()

    def cause(self) -> Cause:
        return Cause("worker:webhooks", self.clock.now(), "job_1")

    def start_processes(self) -> None:
        common: dict[str, Any] = {
            "now": self.clock.now,
            "new_request_id": lambda: "job_1",
            "observer": Quiet(),
        }
        self.dispatcher = Dispatcher(self.webhooks, self.bus, self.ledger, **common)
        self.sender = Sender(
            self.webhooks,
            self.receiver,
            self.ledger,
            jitter=lambda: 0.5,
            record_seconds_max=0.0,
            **common,
        )

    @rule(endpoint_id=st.sampled_from(ENDPOINTS))
    def an_event_happens(self, endpoint_id: UUID) -> None:
        self.count += 1
        subject = Subject(endpoint_id, ACCOUNT, f"evt_{self.count}", "x", None, None, "{}")
        delivery = WebhookDelivery.create(UUID(int=self.count), subject, self.cause())
        self.ledger.decide(Change(lambda books: books.add(delivery), self.cause()))

    @rule()
    def the_dispatcher_steps(self) -> None:
        self.runner.run(self.dispatcher.step())

    @rule()
    def the_dispatcher_dies_after_issuing(self) -> None:
        rooms = [Room(endpoint_id, 4, 4) for endpoint_id in ENDPOINTS]
        self.runner.run(self.webhooks.issue(rooms, 100))
        self.start_processes()

    @rule()
    def another_dispatcher_leads(self) -> None:
        self.start_processes()
        self.runner.run(self.dispatcher.publish_again())

    @rule()
    def the_broker_goes_away_and_comes_back(self) -> None:
        self.bus.connected = not self.bus.connected

    @rule()
    def the_broker_is_wiped(self) -> None:
        self.bus = MemoryBus()
        self.start_processes()
        self.runner.run(self.dispatcher.publish_again())

    @rule()
    def a_worker_works(self) -> None:
        self.runner.run(self.work())

    @rule()
    def a_message_is_lost(self) -> None:
        self.runner.run(self.fetch())

    @precondition(lambda self: self.tickets)
    @rule(choice=st.randoms(use_true_random=False))
    def a_message_comes_twice(self, choice: Any) -> None:
        self.runner.run(self.send([choice.choice(self.tickets)]))

    @rule()
    def a_worker_dies_after_claiming(self) -> None:
        tickets = self.runner.run(self.fetch())
        self.runner.run(self.webhooks.claim(tickets, LEASE))

    @rule()
    def a_worker_dies_after_sending(self) -> None:
        self.receiver.crashes_next = True
        before = self.receiver.seen.total()
        self.runner.run(self.work())
        self.windows += self.receiver.seen.total() > before
        self.receiver.crashes_next = False

    @rule()
    def the_database_goes_away_before_recording(self) -> None:
        tickets = self.runner.run(self.fetch())[:1]
        before = self.receiver.seen.total()
        self.ledger.outages.extend([True, True])
        self.runner.run(self.send(tickets))
        self.ledger.outages.clear()
        self.windows += self.receiver.seen.total() - before

    @rule()
    def the_answer_of_the_database_is_lost(self) -> None:
        self.ledger.loses_next_answer = True
        self.runner.run(self.work())
        self.ledger.loses_next_answer = False

    @precondition(lambda self: self.count)
    @rule(choice=st.randoms(use_true_random=False), by_recovery=st.booleans())
    def somebody_asks_for_it_again(self, choice: Any, *, by_recovery: bool) -> None:
        self.reopen(UUID(int=choice.randint(1, self.count)), by_recovery=by_recovery)

    @rule(by_recovery=st.booleans())
    def somebody_asks_for_all_again_while_one_is_sent(self, *, by_recovery: bool) -> None:
        async def meanwhile() -> None:
            self.clock.advance(seconds=1)
            for delivery_id in self.ledger.ids(WebhookDelivery):
                self.reopen(delivery_id, by_recovery=by_recovery)
            await self.dispatcher.step()
            await self.sender.take(await self.fetch())

        self.an_owner_pauses_or_resumes(ENDPOINTS[0], pauses=False)
        self.an_event_happens(ENDPOINTS[0])
        self.bus.connected = self.receiver.refuses = True
        self.runner.run(self.step_and_work())
        self.clock.advance(seconds=60)
        self.receiver.meanwhile = meanwhile
        self.runner.run(self.step_and_work())
        self.receiver.meanwhile, self.receiver.refuses = None, False

    @rule(endpoint_id=st.sampled_from(ENDPOINTS), pauses=st.booleans())
    def an_owner_pauses_or_resumes(self, endpoint_id: UUID, *, pauses: bool) -> None:
        def move(books: Books) -> None:
            endpoint = books.find(WebhookEndpoint, endpoint_id)
            assert endpoint is not None
            if pauses:
                endpoint.pause("maintenance", self.cause())
            else:
                endpoint.resume(self.cause())

        self.ledger.decide(Change(move, self.cause(), settings=(endpoint_id,)))

    @rule()
    def the_receiver_changes_its_mind(self) -> None:
        self.receiver.refuses = not self.receiver.refuses

    @rule(seconds=st.sampled_from([1, 60, 130, 3_600, 72_000]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)
        self.runner.run(self.dispatcher.repair())

    @invariant()
    def what_is_recorded_was_made(self) -> None:
        recorded = self.recorded()
        missing = self.receiver.seen - recorded
        assert recorded - self.receiver.seen == Counter()
        assert missing.total() <= self.windows

    @invariant()
    def attempts_are_numbered_and_few(self) -> None:
        for delivery_id in self.ledger.ids(WebhookDelivery):
            numbers = [event.attempt_no for event in self.attempts(delivery_id)]
            assert numbers == list(range(1, len(numbers) + 1))
            assert len(numbers) <= ATTEMPTS_MAX * (1 + self.rounds[delivery_id])

    @invariant()
    def no_place_is_lost(self) -> None:
        assert self.sender.under_way == 0

    @invariant()
    def what_is_delivered_was_taken(self) -> None:
        for delivery_id in self.ledger.ids(WebhookDelivery):
            if self.webhooks.state_of(delivery_id) == "delivered":
                assert delivery_id in self.receiver.taken

    def heal_and_finish(self) -> None:
        self.bus.connected, self.receiver.refuses = True, False
        for endpoint_id in ENDPOINTS:
            self.an_owner_pauses_or_resumes(endpoint_id, pauses=False)
        for _ in range(2 * self.count + 40):
            self.clock.advance(seconds=LOST_AFTER.total_seconds() + 90)
            self.runner.run(self.dispatcher.repair())
            self.runner.run(self.dispatcher.step())
            self.runner.run(self.work())
            self.clock.advance(hours=1)
        states = {self.webhooks.state_of(each) for each in self.ledger.ids(WebhookDelivery)}
        assert states <= {"delivered", "failed"}

    def reopen(self, delivery_id: UUID, *, by_recovery: bool) -> None:
        self.recoveries += by_recovery
        trigger = Trigger.RECOVERY if by_recovery else Trigger.MANUAL
        recovery_id = UUID(int=self.recoveries) if by_recovery else None

        def open_again(books: Books) -> None:
            delivery = books.delivery(delivery_id)
            self.rounds[delivery_id] += delivery.reopen(
                trigger, self.cause(), recovery_id=recovery_id
            )

        self.ledger.decide(Change(open_again, self.cause(), deliveries=(delivery_id,)))

    def recorded(self) -> Counter[UUID]:
        ids = self.ledger.ids(WebhookDelivery)
        return +Counter({each: len(self.attempts(each)) for each in ids})

    def attempts(self, delivery_id: UUID) -> list[Any]:
        stream = self.ledger.streams[WebhookDelivery][delivery_id]
        return [one for one in stream if isinstance(one, WebhookDelivery.AttemptRecorded)]

    async def work(self) -> None:
        await self.send(await self.fetch())

    async def step_and_work(self) -> None:
        await self.dispatcher.step()
        await self.work()

    async def fetch(self) -> list[Ticket]:
        """Take everything from the queue, as a worker does that claims at once."""
        deliveries = await self.bus.source(WEBHOOKS_OUTBOUND).fetch(1_000, 0)
        for delivery in deliveries:
            await delivery.ack()
        tickets = [msgspec.json.decode(one.payload, type=Ticket) for one in deliveries]
        self.tickets += tickets
        return tickets

    async def send(self, tickets: list[Ticket]) -> None:
        await self.sender.take(tickets)
        while self.sender._tasks:
            await asyncio.wait(self.sender._tasks)


def test_every_attempt_is_known_whatever_is_lost_doubled_or_crashes():
    run_state_machine_as_test(
        Deliveries, settings=settings(max_examples=100, stateful_step_count=30, deadline=None)
    )
