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
from semalink.application.delivery_reports import RecordReport
from semalink.application.ledger import Ledger
from semalink.application.ports import DeliveryReport, Receipt, ReportState
from semalink.application.sending import AcceptMessage
from semalink.application.submission import Job, Policy, Ready, RecordReceipt, StartSubmission
from semalink.domain.account import Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.postgres.group_commit import GroupCommit

AWAITED = """
SELECT message_id, account_id, aggregator, network, reference, last_state, polls,
       next_poll_at - submitted_at FROM awaited_reports WHERE account_id = %s"""

Row = tuple[Any, ...]


class World(Protocol):
    """A ledger, and a look at what is awaited."""

    ledger: Ledger

    def awaited(self, account_id: UUID) -> Sequence[Row]: ...


@dataclass
class MemoryWorld:
    ledger: MemoryLedger

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


@dataclass
class PostgresWorld:
    ledger: GroupCommit
    connection: psycopg.Connection[Any]

    def awaited(self, account_id: UUID) -> Sequence[Row]:
        return self.connection.execute(AWAITED, (account_id,)).fetchall()


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        yield MemoryWorld(MemoryLedger())
        return
    database_url = request.getfixturevalue("database_url")
    with psycopg.connect(database_url, autocommit=True) as connection:
        async with GroupCommit(database_url) as ledger:
            yield PostgresWorld(ledger, connection)


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


def _receipt(job: Job, aggregator: str = "celcom") -> RecordReceipt:
    return RecordReceipt(job, 1, aggregator, Receipt(f"ref-{job.message_id.hex}"), _cause())


def _report(job: Job, state: ReportState, words: str = "") -> RecordReport:
    report = DeliveryReport(f"ref-{job.message_id.hex}", state, words or state.value)
    return RecordReport(job.message_id, job.billing_account_id, "celcom", report, _cause())


async def test_receipt_begins_the_wait_for_a_report(world: World) -> None:
    account_id = await _open(world)
    job = await _start(world, account_id)

    await world.ledger.execute(_receipt(job))

    [(*row, delay)] = world.awaited(account_id)
    reference = f"ref-{job.message_id.hex}"
    assert row == [job.message_id, account_id, "celcom", "safaricom", reference, None, 0]
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
