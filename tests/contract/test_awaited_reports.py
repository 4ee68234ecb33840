"""What any ledger keeps of reports that are awaited: in memory and on PostgreSQL alike."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.awaited_reports import AwaitedReports, DueQuestion
from semalink.application.delivery_reports import RecordReport
from semalink.application.ledger import Ledger
from semalink.application.ports import DeliveryReport, Receipt, ReportState
from semalink.application.sending import AcceptMessage
from semalink.application.submission import Job, Policy, Ready, RecordReceipt, StartSubmission
from semalink.domain.account import Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft
from semalink_adapters.memory_awaited import MemoryAwaitedReports
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.postgres.awaited_reports import PostgresAwaitedReports
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.queries import open_pool

AWAITED = """
SELECT message_id, account_id, aggregator, network, reference, last_state, polls,
       next_poll_at - submitted_at FROM awaited_reports WHERE account_id = %s"""

MAKE_DUE = "UPDATE awaited_reports SET next_poll_at = now() WHERE account_id = %s"

Row = tuple[Any, ...]


class World(Protocol):
    """A ledger, and a look at what is awaited."""

    ledger: Ledger

    @property
    def book(self) -> AwaitedReports: ...

    def awaited(self, account_id: UUID) -> Sequence[Row]: ...

    def make_due(self, account_id: UUID) -> None: ...


@dataclass
class MemoryWorld:
    ledger: MemoryLedger
    book: MemoryAwaitedReports

    def awaited(self, account_id: UUID) -> Sequence[Row]:
        return [
            (
                one.message_id,
                one.account_id,
                one.aggregator,
                one.network,
                one.reference,
                one.last_state,
                one.polls,
                one.next_poll_at and one.next_poll_at - one.submitted_at,
            )
            for one in self.ledger.awaited.values()
            if one.account_id == account_id
        ]

    def make_due(self, account_id: UUID) -> None:
        for one in self.ledger.awaited.values():
            if one.account_id == account_id:
                one.next_poll_at = datetime.now(UTC)


@dataclass
class PostgresWorld:
    ledger: GroupCommit
    book: PostgresAwaitedReports
    connection: psycopg.Connection[Any]

    def awaited(self, account_id: UUID) -> Sequence[Row]:
        return self.connection.execute(AWAITED, (account_id,)).fetchall()

    def make_due(self, account_id: UUID) -> None:
        self.connection.execute(MAKE_DUE, (account_id,))


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        in_memory = MemoryLedger()
        yield MemoryWorld(in_memory, MemoryAwaitedReports(in_memory.awaited, now=_now))
        return
    database_url = request.getfixturevalue("database_url")
    with psycopg.connect(database_url, autocommit=True) as connection:
        async with GroupCommit(database_url) as ledger, open_pool(database_url, size=3) as pool:
            yield PostgresWorld(ledger, PostgresAwaitedReports(pool), connection)


def _now() -> datetime:
    return datetime.now(UTC)


def _cause() -> Cause:
    return Cause("worker:contract", datetime.now(UTC), "req_1")


async def _open(world: World) -> UUID:
    account_id = uuid7()
    await world.ledger.execute(
        OpenAccount(account_id, "Contract", Kind.DIRECT, Tier.STARTER, _cause())
    )
    await world.ledger.execute(TopUp(account_id, 5_000_000, account_id.hex, _cause()))
    return account_id


async def _start(world: World, account_id: UUID) -> Job:
    draft = Draft(
        account_id=account_id,
        billing_account_id=account_id,
        mode="live",
        to="+254712345678",
        country="KE",
        network="safaricom",
        text="Hello",
        sender="CONTRACT",
        lane="normal",
        encoding="GSM-7",
        segments=1,
        price_micros=800_000,
        expires_at=datetime.now(UTC) + timedelta(hours=24),
        metadata={},
    )
    job = Job(uuid7(), account_id, account_id)
    await world.ledger.execute(AcceptMessage(job.message_id, account_id, draft, _cause(), None))
    step = (await world.ledger.execute(StartSubmission(job, None, Policy(), _cause()))).value
    assert isinstance(step, Ready)
    return job


def _reference(job: Job) -> str:
    return f"ref-{job.message_id.hex}"


def _receipt(job: Job, aggregator: str = "celcom") -> RecordReceipt:
    return RecordReceipt(job, 1, aggregator, Receipt(_reference(job)), _cause())


def _report(job: Job, state: ReportState, words: str = "") -> RecordReport:
    report = DeliveryReport(_reference(job), state, words or state.value)
    return RecordReport(job.message_id, job.billing_account_id, "celcom", report, _cause())


async def test_receipt_begins_the_wait_for_a_report(world: World) -> None:
    account_id = await _open(world)
    job = await _start(world, account_id)

    await world.ledger.execute(_receipt(job))

    [(*row, delay)] = world.awaited(account_id)
    told = [job.message_id, account_id, "celcom", "safaricom", _reference(job), None, 0]
    assert row == told
    assert timedelta(minutes=2) <= delay <= timedelta(minutes=2, seconds=24)


async def test_receipt_plans_no_question_when_its_aggregator_answers_none(world: World) -> None:
    account_id = await _open(world)
    job = await _start(world, account_id)

    await world.ledger.execute(_receipt(job, "africastalking"))

    [(*_, delay)] = world.awaited(account_id)
    assert delay is None


async def test_report_that_settles_nothing_is_remembered(world: World) -> None:
    account_id = await _open(world)
    job = await _start(world, account_id)
    await world.ledger.execute(_receipt(job))

    await world.ledger.execute(_report(job, ReportState.SUBMITTED))
    await world.ledger.execute(_report(job, ReportState.QUEUED, "Scheduled"))

    [row] = world.awaited(account_id)
    assert row[5] == "queued"


@pytest.mark.parametrize(
    "state",
    [ReportState.DELIVERED, ReportState.FAILED, ReportState.REJECTED, ReportState.EXPIRED],
)
async def test_final_report_ends_the_wait(world: World, state: ReportState) -> None:
    account_id = await _open(world)
    job = await _start(world, account_id)
    await world.ledger.execute(_receipt(job))

    await world.ledger.execute(_report(job, state))

    assert world.awaited(account_id) == []


async def test_nothing_is_awaited_when_a_report_overtakes_the_receipt(world: World) -> None:
    account_id = await _open(world)
    job = await _start(world, account_id)

    await world.ledger.execute(_report(job, ReportState.DELIVERED))
    await world.ledger.execute(_receipt(job, "africastalking"))

    assert world.awaited(account_id) == []


async def test_receipt_and_reports_in_one_batch_leave_what_they_come_to(world: World) -> None:
    account_id = await _open(world)
    noted, delivered = [await _start(world, account_id) for _ in range(2)]

    await asyncio.gather(
        *(
            world.ledger.execute(command)
            for command in (
                _receipt(noted),
                _receipt(delivered),
                _report(noted, ReportState.QUEUED),
                _report(delivered, ReportState.QUEUED),
                _report(delivered, ReportState.DELIVERED),
            )
        )
    )

    [row] = world.awaited(account_id)
    assert (row[0], row[5]) == (noted.message_id, "queued")


async def test_claim_gives_what_is_due_once(world: World) -> None:
    account_id = await _open(world)
    job = await _start(world, account_id)
    await world.ledger.execute(_receipt(job))
    await world.ledger.execute(_report(job, ReportState.QUEUED))
    early = await world.book.claim_due("celcom", 10)
    world.make_due(account_id)

    claims = await asyncio.gather(*(world.book.claim_due("celcom", 10) for _ in range(3)))

    [[question]] = [claim for claim in claims if claim]
    assert early == []
    assert isinstance(question, DueQuestion)
    assert (question.message_id, question.reference) == (job.message_id, _reference(job))
    assert (question.last_state, question.polls_before) == ("queued", 0)


async def test_claims_of_a_second_are_no_more_than_its_budget(world: World) -> None:
    account_id = await _open(world)
    for _ in range(5):
        await world.ledger.execute(_receipt(await _start(world, account_id)))
    world.make_due(account_id)

    claims = await asyncio.gather(*(world.book.claim_due("celcom", 2) for _ in range(3)))

    assert sorted(len(claim) for claim in claims) == [0, 0, 2]
    assert await world.book.claim_due("sandbox", 2) == []


async def test_answer_is_noted_with_the_time_of_the_next_question(world: World) -> None:
    account_id = await _open(world)
    job = await _start(world, account_id)
    await world.ledger.execute(_receipt(job))

    await world.book.note_asked(job.message_id, 1, None)
    await world.book.note_asked(uuid7(), 1, None)

    [row] = world.awaited(account_id)
    assert row[6:] == (1, None)


async def test_overdue_are_those_submitted_before_then(world: World) -> None:
    account_id = await _open(world)
    first, second = [await _start(world, account_id) for _ in range(2)]
    await world.ledger.execute(_receipt(first))
    between = _now()
    await world.ledger.execute(_receipt(second))

    assert await world.book.claim_overdue(between, 10) == [(first, "celcom")]
    assert await world.book.claim_overdue(_now(), 10) == [(second, "celcom")]


async def test_overdue_are_given_up_by_one_worker_each(world: World) -> None:
    account_id = await _open(world)
    jobs = [await _start(world, account_id) for _ in range(4)]
    for job in jobs:
        await world.ledger.execute(_receipt(job))

    pages = await asyncio.gather(*(world.book.claim_overdue(_now(), 2) for _ in range(3)))

    found = [job.message_id for page in pages for job, _ in page]
    assert sorted(found) == sorted(job.message_id for job in jobs)


async def test_what_is_forgotten_is_not_awaited(world: World) -> None:
    account_id = await _open(world)
    job = await _start(world, account_id)
    await world.ledger.execute(_receipt(job))

    await world.book.forget(job.message_id)

    assert world.awaited(account_id) == []
