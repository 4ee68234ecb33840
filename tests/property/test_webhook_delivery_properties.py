"""Deliveries, whatever is lost, doubled or crashes: every attempt that was made is known."""

import asyncio
from collections import Counter
from collections.abc import Callable
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
from semalink.domain.webhook_delivery import Attempt, Subject, WebhookDelivery
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

    def needs(self, needs: Needs) -> None:
        """Nothing."""

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

    async def deliver(self, claimed: Claimed) -> Outcome:
        self.seen[claimed.delivery_id] += 1
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
            assert len(numbers) <= ATTEMPTS_MAX

    @invariant()
    def what_is_delivered_was_taken(self) -> None:
        for delivery_id in self.ledger.ids(WebhookDelivery):
            if self.webhooks.state_of(delivery_id) == "delivered":
                assert delivery_id in self.receiver.taken

    def heal_and_finish(self) -> None:
        self.bus.connected, self.receiver.refuses = True, False
        for _ in range(2 * self.count + 40):
            self.clock.advance(seconds=LOST_AFTER.total_seconds() + 90)
            self.runner.run(self.dispatcher.repair())
            self.runner.run(self.dispatcher.step())
            self.runner.run(self.work())
            self.clock.advance(hours=1)
        states = {self.webhooks.state_of(each) for each in self.ledger.ids(WebhookDelivery)}
        assert states <= {"delivered", "failed"}

    def recorded(self) -> Counter[UUID]:
        ids = self.ledger.ids(WebhookDelivery)
        return +Counter({each: len(self.attempts(each)) for each in ids})

    def attempts(self, delivery_id: UUID) -> list[Any]:
        stream = self.ledger.streams[WebhookDelivery][delivery_id]
        return [one for one in stream if isinstance(one, WebhookDelivery.AttemptRecorded)]

    async def work(self) -> None:
        await self.send(await self.fetch())

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
        Deliveries, settings=settings(max_examples=60, stateful_step_count=30, deadline=None)
    )
