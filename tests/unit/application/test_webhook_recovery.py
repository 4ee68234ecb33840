from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from semalink.application.delivery_reading import RecoveryView
from semalink.application.ledger import (
    Books,
    LedgerUnavailable,
    Needs,
    OutcomeInDoubt,
    PlainCommand,
)
from semalink.application.recovering import RecoveryRunner, allowed_count, pause_ms_of
from semalink.application.webhook_recovery import (
    RECOVERIES_MAX,
    CompleteRecovery,
    MoveRecovery,
    RecoveryItem,
    ResendDelivery,
    SendAgain,
    SendTest,
    Sent,
    StartRecovery,
    Step,
)
from semalink.domain.cause import Cause
from semalink.domain.errors import (
    RecoveryNotFound,
    TooManyRecoveries,
    WebhookDeliveryNotFound,
    WebhookDeliveryUnderWay,
    WebhookEndpointDisabled,
    WebhookEndpointNotFound,
)
from semalink.domain.recovery import Counts, Recovery, RecoveryMode, Wanted
from semalink.domain.webhook_delivery import GivenUp, Subject, WebhookDelivery, delivery_id_of
from semalink.domain.webhook_endpoint import DisabledReason, EndpointTerms, WebhookEndpoint
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_recoveries import FedEvent, MemoryRecoveries

AT = datetime(2026, 11, 25, 9, tzinfo=UTC)
MINE, OTHERS, ENDPOINT, RECOVERY, DELIVERY = (UUID(int=number) for number in range(1, 6))
CAUSE = Cause("key:1", AT, "req_1")
WANTED = Wanted(
    ENDPOINT, RecoveryMode.FAILED, AT - timedelta(hours=1), AT, ("*",), rate_per_second=1
)
ITEM = RecoveryItem(DELIVERY, 1, "evt_1", "message.delivered", None)


@dataclass(frozen=True)
class Change(PlainCommand):
    """Does what other parts do."""

    by: Callable[[Books], Any]
    cause: Cause = CAUSE

    def needs(self, needs: Needs) -> None:
        needs.settings.add(ENDPOINT)
        needs.deliveries.add(DELIVERY)

    def decide(self, books: Books) -> None:
        self.by(books)


def endpoint_of(books: Books) -> WebhookEndpoint:
    found = books.find(WebhookEndpoint, ENDPOINT)
    assert found is not None
    return found


@pytest.fixture
def ledger() -> MemoryLedger:
    """A ledger with an endpoint and a delivery to it that was given up."""
    opened = MemoryLedger()
    terms = EndpointTerms("https://shop.example.com/hooks", ("*",))
    endpoint = WebhookEndpoint.register(ENDPOINT, MINE, terms, CAUSE)
    subject = Subject(ENDPOINT, MINE, "evt_1", "message.delivered", event_sequence=1)
    delivery = WebhookDelivery.create(DELIVERY, subject, CAUSE)
    opened.decide(Change(lambda books: (books.add(endpoint), books.add(delivery))))
    opened.decide(Change(lambda books: books.delivery(DELIVERY).give_up(GivenUp.ABORTED, CAUSE)))
    return opened


def started(ledger: MemoryLedger) -> None:
    ledger.decide(StartRecovery(RECOVERY, MINE, WANTED, CAUSE))


def disable(ledger: MemoryLedger) -> None:
    ledger.decide(Change(lambda books: endpoint_of(books).disable(DisabledReason.GONE, CAUSE)))


def remove(ledger: MemoryLedger) -> None:
    ledger.decide(Change(lambda books: endpoint_of(books).remove(CAUSE)))


def asked(name: str, account_id: UUID) -> Any:
    commands = {
        "resend": ResendDelivery(DELIVERY, ENDPOINT, account_id, CAUSE),
        "test": SendTest(UUID(int=9), ENDPOINT, account_id, CAUSE),
        "recover": StartRecovery(RECOVERY, account_id, WANTED, CAUSE),
    }
    return commands[name]


@pytest.mark.parametrize("name", ["resend", "test", "recover"])
def test_command_is_refused_while_the_endpoint_is_disabled(ledger: MemoryLedger, name: str) -> None:
    disable(ledger)
    before = len(ledger.log)

    with pytest.raises(WebhookEndpointDisabled):
        ledger.decide(asked(name, MINE))

    assert len(ledger.log) == before
    assert ledger.refusals[-1].account_id == MINE


@pytest.mark.parametrize("name", ["resend", "test", "recover"])
def test_command_finds_no_endpoint_that_was_removed(ledger: MemoryLedger, name: str) -> None:
    remove(ledger)

    with pytest.raises(WebhookEndpointNotFound):
        ledger.decide(asked(name, MINE))


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("resend", WebhookDeliveryNotFound),
        ("test", WebhookEndpointNotFound),
        ("recover", WebhookEndpointNotFound),
    ],
)
def test_command_finds_nothing_of_another_account(
    ledger: MemoryLedger, name: str, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        ledger.decide(asked(name, OTHERS))


def test_resend_refuses_what_is_under_way(ledger: MemoryLedger) -> None:
    ledger.decide(asked("resend", MINE))

    with pytest.raises(WebhookDeliveryUnderWay):
        ledger.decide(asked("resend", MINE))


@pytest.mark.parametrize("name", ["test", "recover"])
def test_command_that_is_repeated_changes_nothing(ledger: MemoryLedger, name: str) -> None:
    ledger.decide(asked(name, MINE))
    before = len(ledger.log)

    ledger.decide(asked(name, MINE))

    assert len(ledger.log) == before


def test_start_recovery_refuses_one_more_than_may_be_under_way(ledger: MemoryLedger) -> None:
    command = StartRecovery(RECOVERY, MINE, WANTED, CAUSE, under_way_count=RECOVERIES_MAX)

    with pytest.raises(TooManyRecoveries):
        ledger.decide(command)

    assert ledger.load(Recovery, RECOVERY) is None


@pytest.mark.parametrize(
    ("mode", "event_types"),
    [(RecoveryMode.FAILED, ("*",)), (RecoveryMode.MISSING, ("message.delivered",))],
)
def test_start_recovery_takes_the_event_types_that_the_endpoint_asks_for(
    ledger: MemoryLedger, mode: RecoveryMode, event_types: tuple[str, ...]
) -> None:
    terms = EndpointTerms("https://shop.example.com/hooks", ("message.delivered",))
    ledger.decide(Change(lambda books: endpoint_of(books).change(terms, CAUSE)))

    ledger.decide(StartRecovery(RECOVERY, MINE, replace(WANTED, mode=mode, event_types=()), CAUSE))

    recovery = ledger.load(Recovery, RECOVERY)
    assert recovery is not None
    assert recovery.wanted.event_types == event_types


def test_start_recovery_writes_its_answer_down() -> None:
    written = StartRecovery.encode(RECOVERY)

    assert StartRecovery.decode(written) == RECOVERY


@pytest.mark.parametrize(
    ("recovery_id", "endpoint_id", "account_id"),
    [
        (UUID(int=99), ENDPOINT, MINE),
        (RECOVERY, UUID(int=99), MINE),
        (RECOVERY, ENDPOINT, OTHERS),
    ],
)
def test_move_recovery_finds_only_those_of_the_endpoint_and_the_account(
    ledger: MemoryLedger, recovery_id: UUID, endpoint_id: UUID, account_id: UUID
) -> None:
    started(ledger)

    with pytest.raises(RecoveryNotFound):
        ledger.decide(MoveRecovery(recovery_id, endpoint_id, account_id, Step.PAUSE, CAUSE))

    assert ledger.refusals[-1].account_id == account_id


@pytest.mark.parametrize("step", list(Step))
def test_complete_recovery_leaves_one_that_was_stopped_meanwhile(
    ledger: MemoryLedger, step: Step
) -> None:
    started(ledger)
    ledger.decide(MoveRecovery(RECOVERY, ENDPOINT, MINE, step, CAUSE))

    ledger.decide(CompleteRecovery(RECOVERY, Counts(), CAUSE))

    recovery = ledger.load(Recovery, RECOVERY)
    assert recovery is not None
    shown = {Step.PAUSE: "paused", Step.RESUME: "completed", Step.CANCEL: "cancelled"}
    assert recovery.state.value == shown[step]


def test_complete_recovery_changes_nothing_when_there_is_none(ledger: MemoryLedger) -> None:
    before = len(ledger.log)

    ledger.decide(CompleteRecovery(RECOVERY, Counts(), CAUSE))

    assert len(ledger.log) == before


def sent(ledger: MemoryLedger) -> Sent:
    return ledger.decide(SendAgain(RECOVERY, ENDPOINT, ITEM, CAUSE)).value


def test_send_again_opens_a_delivery_once(ledger: MemoryLedger) -> None:
    started(ledger)

    first, second = sent(ledger), sent(ledger)

    assert (first, second) == (Sent.AGAIN, Sent.NOT_NEEDED)


def test_send_again_does_nothing_for_a_recovery_that_is_not_running(ledger: MemoryLedger) -> None:
    unknown = sent(ledger)
    started(ledger)
    ledger.decide(MoveRecovery(RECOVERY, ENDPOINT, MINE, Step.PAUSE, CAUSE))

    paused = sent(ledger)

    assert (unknown, paused) == (Sent.NOT_NOW, Sent.NOT_NOW)


def test_send_again_needs_an_endpoint_that_is_there(ledger: MemoryLedger) -> None:
    started(ledger)
    remove(ledger)

    assert sent(ledger) is Sent.NOT_NEEDED


@dataclass
class Missed:
    """A recovery of one event that failed, and what carries it on."""

    ledger: MemoryLedger
    book: MemoryRecoveries
    delivery_id: UUID

    def fail(self, number: int) -> UUID:
        """Give the account an event whose delivery was given up."""
        happened_at = AT - timedelta(minutes=5)
        feed = self.book.feeds.setdefault(MINE, [])
        event = FedEvent(len(feed) + 1, f"evt_{number}", "message.delivered", happened_at)
        feed.append(event)
        delivery_id = delivery_id_of(event.event_id, happened_at, ENDPOINT)
        subject = Subject(ENDPOINT, MINE, event.event_id, event.name, event.sequence)
        delivery = WebhookDelivery.create(delivery_id, subject, CAUSE)
        delivery.give_up(GivenUp.ABORTED, CAUSE)
        self.ledger.decide(Change(lambda books: books.add(delivery)))
        return delivery_id

    def runner(self) -> RecoveryRunner:
        self.book.now += timedelta(seconds=1)
        return RecoveryRunner(
            self.ledger, self.book, now=lambda: AT, new_request_id=lambda: "job_1"
        )

    async def view(self) -> RecoveryView:
        view = await self.book.recovery(RECOVERY, MINE)
        assert view is not None
        return view


@pytest.fixture
def missed(ledger: MemoryLedger) -> Missed:
    made = Missed(ledger, MemoryRecoveries(ledger), UUID(int=0))
    made.delivery_id = made.fail(7)
    started(ledger)
    return made


async def test_runner_rests_between_the_turns_of_a_recovery(missed: Missed) -> None:
    missed.fail(8)
    runner = missed.runner()

    sent_counts = [await runner.step() for _ in range(2)]

    assert sent_counts == [1, 0]
    assert len(await missed.book.under_way()) == 1
    assert await missed.runner().step() == 1


async def test_runner_takes_no_turn_while_all_is_sent(missed: Missed) -> None:
    await missed.runner().step()

    assert await missed.book.under_way() == []
    assert (await missed.view()).state == "running"


async def test_runner_skips_what_it_need_not_send(missed: Missed) -> None:
    [job] = await missed.book.under_way()
    await missed.book.match(job)
    missed.ledger.decide(ResendDelivery(missed.delivery_id, ENDPOINT, MINE, CAUSE))

    sent_count = await missed.runner().step()

    shown = await missed.view()
    assert (sent_count, shown.skipped_count, shown.state) == (0, 1, "completed")


async def test_runner_that_dies_behind_a_commit_leaves_nothing_to_be_sent_twice(
    missed: Missed,
) -> None:
    missed.ledger.loses_next_answer = True

    with pytest.raises(OutcomeInDoubt):
        await missed.runner().step()
    sent_again = await missed.runner().step()

    opened = [
        event
        for event in missed.ledger.events_of(missed.delivery_id)
        if isinstance(event, WebhookDelivery.Reopened)
    ]
    assert (sent_again, len(opened)) == (0, 1)
    assert (await missed.view()).sent_count == 1


async def test_runner_that_dies_before_a_commit_leaves_everything_to_the_next(
    missed: Missed,
) -> None:
    missed.ledger.is_available = False

    with pytest.raises(LedgerUnavailable):
        await missed.runner().step()
    missed.ledger.is_available = True
    sent_count = await missed.runner().step()

    assert sent_count == 1
    assert (await missed.view()).sent_count == 1


@pytest.mark.parametrize(
    ("rate", "elapsed_ms", "allowed"),
    [(1, 1_000, 1), (1, 200, 1), (50, 200, 10), (500, 1_000, 500), (500, 60_000, 500)],
)
def test_turn_allows_what_the_rate_does(rate: int, elapsed_ms: int, allowed: int) -> None:
    assert allowed_count(rate, elapsed_ms) == allowed


@pytest.mark.parametrize(("rate", "pause_ms"), [(1, 1_000), (3, 334), (5, 200), (500, 200)])
def test_turns_are_so_far_apart_that_each_may_send(rate: int, pause_ms: int) -> None:
    assert pause_ms_of(rate) == pause_ms
