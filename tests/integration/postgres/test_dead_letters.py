"""Dead letters in the books: recorded once, decided once, back at work, at a rate."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

from semalink.application.bus import Delivery, PublishState
from semalink.application.dead_letter_reading import DeadLetterFilter, DeadLetterView
from semalink.application.dead_letters import (
    CancelDeadLetterJob,
    DiscardDeadLetter,
    JobPlan,
    RepublishDeadLetter,
    StartDeadLetterJob,
    about_of,
)
from semalink.application.relaying import JobPayload, ReportPayload
from semalink.application.submission import Job
from semalink.domain.dead_letter import DEAD_LETTER_PREFIX
from semalink.domain.errors import DeadLetterSettled
from semalink.domain.ids import parse_id
from semalink_adapters.jetstream.dead_letters import Origin, Undone, letter_of
from semalink_adapters.jetstream.streams import QUEUES
from semalink_adapters.memory_bus import MemoryBus
from semalink_adapters.postgres.dead_letter_work import DeadLetterWork
from semalink_adapters.postgres.dead_letters import PostgresDeadLetters
from semalink_adapters.postgres.raw_reports import RawReportWriter
from semalink_adapters.postgres.reports import PostgresReports
from semalink_ops.dead_lettering import BulkActions, DeadLetterProjector, Republisher, UnseenFinder

ALL = DeadLetterFilter()
STREAM_MADE_AT = datetime(2026, 11, 25, tzinfo=UTC)


class Letter:
    """A delivery out of the stream of dead letters."""

    settled = False
    num_delivered = 1

    def __init__(self, subject: str, payload: bytes, sequence: int) -> None:
        [stream] = [queue.stream for queue in QUEUES if queue.owns(subject)]
        undone = Undone(subject, payload, {"traceparent": "00-1"}, f"id-{sequence}", 5, "E", "why")
        origin = Origin(stream, STREAM_MADE_AT, sequence, "worker", datetime.now(UTC))
        letter = letter_of(undone, origin, datetime.now(UTC))
        self.subject, self.payload = letter.subject, letter.payload
        self.message_id = letter.message_id
        self.headers = {**letter.headers, "Nats-Msg-Id": letter.message_id}

    async def ack(self) -> None: ...

    async def nak(self, delay_seconds: float = 0) -> None: ...

    async def term(self, reason: str) -> None: ...

    async def in_progress(self) -> None: ...


class World:
    """What the relay does with dead letters, over a real ledger."""

    def __init__(self, pool: AsyncConnectionPool[Any], desk: Any) -> None:
        self.desk = desk
        self.ledger = desk.ledger
        self.bus = MemoryBus()
        self.work = DeadLetterWork(pool)
        self.reads = PostgresDeadLetters(pool)
        self.reports = PostgresReports(pool)
        self.projector = DeadLetterProjector(self.work, self.ledger)
        self.finder = UnseenFinder(self.work, self.projector)
        self.republisher = Republisher(self.work, self.bus)
        self.actions = BulkActions(self.work, self.ledger)

    async def bury(self, subject: str, *payloads: bytes) -> Sequence[UUID]:
        """Record dead letters and return their ids, in order."""
        letters: list[Delivery] = [
            Letter(subject, payload, number) for number, payload in enumerate(payloads, 1)
        ]
        await self.projector.handle(letters)
        found = await self.reads.page(ALL, before=None, limit=100)
        by_id = {view.message_id: view for view in found}
        return [id_of(by_id[f"id-{number}"]) for number, _ in enumerate(payloads, 1)]

    async def view(self, letter_id: UUID) -> DeadLetterView:
        found = await self.reads.contents(letter_id)
        assert found is not None
        return found.letter

    async def republish(self, letter_id: UUID, **how: Any) -> None:
        await self.ledger.execute(RepublishDeadLetter(letter_id, self.desk.cause("ops"), **how))

    async def start(self, plan: JobPlan) -> UUID:
        job_id = uuid7()
        await self.ledger.execute(StartDeadLetterJob(job_id, plan, self.desk.cause("ops")))
        return job_id


def id_of(view: DeadLetterView) -> UUID:
    letter_id = parse_id(DEAD_LETTER_PREFIX, view.id)
    assert letter_id is not None
    return letter_id


def payload_of(job: Job) -> bytes:
    return msgspec.json.encode(JobPayload(job.message_id, job.account_id, job.billing_account_id))


@pytest.fixture
def world(pool: AsyncConnectionPool[Any], desk: Any) -> World:
    return World(pool, desk)


async def test_projector_records_a_dead_letter_once_however_often_it_comes(
    world: World, books: Any
) -> None:
    letter = Letter("sms.normal", b"\xff unreadable", 1)

    await asyncio.gather(*(world.projector.handle([letter]) for _ in range(4)))
    await world.projector.handle([letter, letter])

    [view] = await world.reads.page(ALL, before=None, limit=10)
    assert (view.queue, view.state, view.error_type) == ("sms.normal", "waiting", "E")
    assert view.about is None
    assert books.one("SELECT count(*) FROM admin_events WHERE topic LIKE 'dead_letter.%%'") == 1


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.name)
async def test_projector_keeps_payload_and_headers_of_every_queue(queue: Any, world: World) -> None:
    subject = queue.subject.replace(">", "07")

    [letter_id] = await world.bury(subject, b"\x00\xff")

    found = await world.reads.contents(letter_id)
    assert found is not None
    assert (found.letter.queue, found.subject, found.payload) == (queue.name, subject, b"\x00\xff")
    assert found.headers["traceparent"] == "00-1"
    assert [action.name for action in found.actions] == ["dead_letter.buried"]


async def test_burying_parks_the_message_and_republishing_puts_it_back_to_work(
    world: World, books: Any
) -> None:
    account_id = await world.desk.open_account(message_count=1)
    job = await world.desk.accept_job(account_id)
    state = "SELECT state FROM pending_submissions WHERE message_id = %s"

    [letter_id] = await world.bury("sms.normal", payload_of(job))
    parked = books.one(state, job.message_id)
    about = about_of("sms.normal", payload_of(job))
    await world.republish(letter_id, about=about)

    assert parked == "parked"
    assert books.one(state, job.message_id) == "queued"
    assert (await world.view(letter_id)).about == about


async def test_burying_sets_a_report_aside_and_republishing_takes_it_up_again(
    world: World, pool: AsyncConnectionPool[Any], books: Any
) -> None:
    report_id = uuid7()
    writer = RawReportWriter(pool, now=lambda: datetime.now(UTC), new_id=lambda: report_id)
    await writer.store_raw("celcom", "text/plain", b"as it came")
    payload = msgspec.json.encode(ReportPayload(report_id))
    count = "SELECT count(*) FROM pending_reports WHERE report_id = %s"

    [letter_id] = await world.bury("dlr.inbound", payload)
    set_aside = books.one(count, report_id)
    found = await world.reads.contents(letter_id)
    await world.republish(letter_id, about=about_of("dlr.inbound", payload))

    assert set_aside == 0
    assert books.one(count, report_id) == 1
    assert found is not None
    assert found.report is not None
    assert found.report.body == b"as it came"


async def test_republish_is_published_once_although_the_relay_died_before_it_took_note(
    world: World,
) -> None:
    [letter_id] = await world.bury("sms.normal", b"{}")
    await world.republish(letter_id)
    [due] = await world.work.republishing(10)

    await world.republisher.step()
    # As after a crash between the publishing and the mark.
    outcome = await world.bus.publish(
        due.subject, due.payload, message_id=f"redrive:dlq_{letter_id.hex}:1"
    )

    assert outcome.state is PublishState.DUPLICATE
    assert (await world.view(letter_id)).state == "republished"
    assert await world.republisher.step() == 0


async def test_republish_waits_for_a_broker_that_is_away(world: World) -> None:
    [letter_id] = await world.bury("sms.normal", b"{}")
    await world.republish(letter_id)

    world.bus.connected = False
    await world.republisher.step()
    meanwhile = (await world.view(letter_id)).state
    world.bus.connected = True
    await world.republisher.step()

    assert meanwhile == "republishing"
    assert (await world.view(letter_id)).state == "republished"


async def test_republish_sends_another_payload_and_keeps_what_was_buried(world: World) -> None:
    [letter_id] = await world.bury("webhooks.outbound.07", b"broken")

    await world.republish(letter_id, payload=b"mended")
    [due] = await world.work.republishing(10)

    found = await world.reads.contents(letter_id)
    assert found is not None
    assert (due.payload, due.subject) == (b"mended", "webhooks.outbound.07")
    assert (found.payload, found.edited_payload) == (b"broken", b"mended")
    assert [action.edited for action in found.actions] == [False, True]
    assert found.actions[1].actor == "ops"


async def test_republish_goes_once_and_again_only_when_asked(world: World) -> None:
    [letter_id] = await world.bury("sms.normal", b"{}")
    await world.republish(letter_id)
    await world.republisher.step()

    with pytest.raises(DeadLetterSettled):
        await world.republish(letter_id)
    await world.republish(letter_id, again=True)

    [due] = await world.work.republishing(10)
    assert due.number == 2


async def test_discard_settles_with_its_reason(world: World) -> None:
    [letter_id] = await world.bury("sms.normal", b"{}")

    await world.ledger.execute(DiscardDeadLetter(letter_id, "a test", world.desk.cause("ops")))

    view = await world.view(letter_id)
    assert (view.state, view.reason, view.settled_by) == ("discarded", "a test", "ops")
    with pytest.raises(DeadLetterSettled):
        await world.republish(letter_id)


async def test_job_works_off_what_it_is_about_at_its_rate(world: World) -> None:
    letters = await world.bury("sms.normal", b"1", b"2", b"3", b"4", b"5")
    job_id = await world.start(JobPlan("republish", queue="sms.normal", rate_per_second=2))

    done = [await world.actions.step(seconds) for seconds in (0.0, 0.5, 1.0, 9.0, 1.0)]
    await world.actions.step(1.0)

    job = await world.reads.job(job_id)
    assert done == [1, 1, 2, 1, 0]
    assert job is not None
    assert (job.state, job.done_count, job.total_count) == ("finished", 5, 5)
    assert {(await world.view(one)).state for one in letters} == {"republishing"}


async def test_job_leaves_what_comes_back_and_what_is_of_another_queue(world: World) -> None:
    [other] = await world.bury("dlr.inbound", b"other")
    job_id = await world.start(JobPlan("discard", queue="sms.normal", reason="old"))
    [later] = await world.bury("sms.normal", b"later")

    await world.actions.step(1.0)

    job = await world.reads.job(job_id)
    assert job is not None
    assert (job.state, job.total_count) == ("finished", 0)
    assert (await world.view(later)).state == "waiting"
    assert (await world.view(other)).state == "waiting"


async def test_job_stops_where_it_is_when_it_is_cancelled(world: World) -> None:
    letters = await world.bury("sms.normal", b"1", b"2", b"3")
    job_id = await world.start(JobPlan("discard", rate_per_second=1, reason="old"))
    await world.actions.step(0.0)

    await world.ledger.execute(CancelDeadLetterJob(job_id, world.desk.cause("ops")))
    after = await world.actions.step(10.0)

    job = await world.reads.job(job_id)
    states = [(await world.view(one)).state for one in letters]
    assert after == 0
    assert job is not None
    assert (job.state, job.done_count) == ("cancelled", 1)
    assert sorted(states) == ["discarded", "waiting", "waiting"]


async def test_groups_and_measures_count_what_waits(world: World) -> None:
    letters = await world.bury("sms.normal", b"1", b"2")
    await world.ledger.execute(DiscardDeadLetter(letters[0], "old", world.desk.cause("ops")))

    [group] = await world.reads.groups(ALL)
    measured = await world.work.measure()

    assert (group.queue, group.error_type, group.count) == ("sms.normal", "E", 1)
    assert measured["sms.normal"][0] == 1


async def test_message_that_was_given_up_unseen_becomes_a_dead_letter(
    world: World, books: Any
) -> None:
    job = await world.desk.accept_job(await world.desk.open_account(message_count=1))
    await world.reports.park(job.message_id)

    found = [await world.finder.step() for _ in range(3)]

    [letter] = await world.reads.page(ALL, before=None, limit=10)
    assert found == [0, 1, 0]
    assert (letter.queue, letter.error_type) == ("sms.normal", "vanished")
    assert letter.about == f"msg_{job.message_id.hex}"
    await world.republish(id_of(letter), about=letter.about)
    [due] = await world.work.republishing(10)
    assert due.payload == payload_of(job)
    state = "SELECT state FROM pending_submissions WHERE message_id = %s"
    assert books.one(state, job.message_id) == "queued"


async def test_finder_leaves_what_somebody_sees_or_discarded(world: World) -> None:
    account_id = await world.desk.open_account(message_count=2)
    jobs = [await world.desk.accept_job(account_id) for _ in range(2)]
    letters = await world.bury("sms.normal", *map(payload_of, jobs))
    await world.ledger.execute(DiscardDeadLetter(letters[0], "old", world.desk.cause("ops")))

    found = [await world.finder.step() for _ in range(3)]

    assert found == [0, 0, 0]


async def test_finder_makes_another_letter_of_what_is_given_up_again(world: World) -> None:
    job = await world.desk.accept_job(await world.desk.open_account(message_count=1))
    for _ in range(2):
        await world.reports.park(job.message_id)
        await world.finder.step()
        await world.finder.step()
        [letter] = await world.reads.page(DeadLetterFilter(state="waiting"), before=None, limit=10)
        await world.republish(id_of(letter), about=letter.about)
        await world.republisher.step()

    assert len(await world.reads.page(ALL, before=None, limit=10)) == 2
