"""Reads of dead letters: the same answers in memory and from the database."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

import pytest

from semalink.application.dead_letter_reading import DeadLetterFilter, DeadLetters
from semalink.application.dead_letters import (
    Burial,
    BuryDeadLetter,
    CancelDeadLetterJob,
    DiscardDeadLetter,
    FinishDeadLetterJob,
    JobPlan,
    RepublishDeadLetter,
    StartDeadLetterJob,
    letter_uuid,
)
from semalink.application.ledger import Ledger
from semalink.domain.cause import Cause
from semalink_adapters.memory_dead_letters import MemoryDeadLetters
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.postgres.dead_letter_work import DeadLetterWork
from semalink_adapters.postgres.dead_letters import PostgresDeadLetters
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.queries import open_pool

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
ALL = DeadLetterFilter()


class Morgue(Protocol):
    """Dead letters, and the ledger behind them."""

    @property
    def reads(self) -> DeadLetters: ...

    @property
    def ledger(self) -> Ledger: ...

    async def store(self, burial: Burial) -> None: ...


class MemoryMorgue:
    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.reads = MemoryDeadLetters(self.ledger)

    async def store(self, burial: Burial) -> None:
        self.reads.stored[burial.letter_id] = burial


class PostgresMorgue:
    def __init__(self, ledger: GroupCommit, pool: object) -> None:
        self.ledger = ledger
        self.reads = PostgresDeadLetters(pool)  # type: ignore[arg-type]
        self._work = DeadLetterWork(pool)  # type: ignore[arg-type]

    async def store(self, burial: Burial) -> None:
        await self._work.store([burial])


@pytest.fixture(params=["memory", "postgres"])
async def morgue(request: pytest.FixtureRequest) -> AsyncIterator[Morgue]:
    if request.param == "memory":
        yield MemoryMorgue()
        return
    url = request.getfixturevalue("database_url")
    async with GroupCommit(url) as ledger, open_pool(url, size=2) as pool:
        yield PostgresMorgue(ledger, pool)


def cause(actor: str = "operator:key_1", minutes: int = 10) -> Cause:
    return Cause(actor, NOW + timedelta(minutes=minutes), "req_1")


def burial(number: int, queue: str = "sms.normal", error_type: str = "ValueError") -> Burial:
    at = NOW + timedelta(minutes=number)
    buried_as = f"dlq:X:1:{number}:0"
    return Burial(
        letter_id=letter_uuid(buried_as, at),
        buried_as=buried_as,
        queue=queue,
        subject=queue,
        error_type=error_type,
        error="raised in x",
        delivery_count=5,
        first_at=at,
        last_at=at,
        message_id=f"id-{number}",
        redrive_count=0,
        about=None,
        payload=b"\x00\xff",
        headers={"traceparent": "00"},
    )


async def bury(morgue: Morgue, *burials: Burial) -> Sequence[UUID]:
    for one in burials:
        await morgue.store(one)
        await morgue.ledger.execute(
            BuryDeadLetter(
                one.letter_id,
                one.queue,
                one.error_type,
                one.error,
                one.delivery_count,
                one.buried_as,
                one.about,
                cause("worker:dead-letters", 0),
            )
        )
    return [one.letter_id for one in burials]


async def test_page_shows_nothing_before_its_event_is_recorded(morgue: Morgue) -> None:
    unrecorded = burial(1)
    await morgue.store(unrecorded)

    assert not await morgue.reads.page(ALL, before=None, limit=10)
    assert await morgue.reads.contents(unrecorded.letter_id) is None


async def test_page_goes_on_from_an_id(morgue: Morgue) -> None:
    ids = await bury(morgue, burial(1), burial(2), burial(3))

    first = await morgue.reads.page(ALL, before=None, limit=2)
    second = await morgue.reads.page(ALL, before=ids[1], limit=2)

    assert [one.message_id for one in first] == ["id-3", "id-2"]
    assert [one.message_id for one in second] == ["id-1"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (replace(ALL, queue="dlr.inbound"), ["id-2"]),
        (replace(ALL, error_type="KeyError"), ["id-3"]),
        (replace(ALL, state="discarded"), ["id-1"]),
        (replace(ALL, before_at=NOW + timedelta(minutes=2)), ["id-1"]),
        (replace(ALL, from_at=NOW + timedelta(minutes=2)), ["id-3", "id-2"]),
    ],
)
async def test_page_filters(morgue: Morgue, asked: DeadLetterFilter, found: list[str]) -> None:
    [first, *_] = await bury(
        morgue, burial(1), burial(2, "dlr.inbound"), burial(3, error_type="KeyError")
    )
    await morgue.ledger.execute(DiscardDeadLetter(first, "old", cause()))

    page = await morgue.reads.page(asked, before=None, limit=10)

    assert [one.message_id for one in page] == found


async def test_groups_count_what_waits_by_queue_and_error(morgue: Morgue) -> None:
    ids = await bury(morgue, burial(1, "dlr.inbound"), burial(2), burial(3), burial(4))
    await morgue.ledger.execute(RepublishDeadLetter(ids[3], cause()))

    groups = await morgue.reads.groups(ALL)

    assert [(one.queue, one.count) for one in groups] == [("sms.normal", 2), ("dlr.inbound", 1)]
    assert groups[0].oldest_at == NOW + timedelta(minutes=2)
    assert groups[0].newest_at == NOW + timedelta(minutes=3)


async def test_contents_show_what_was_buried_and_every_action(morgue: Morgue) -> None:
    [letter_id] = await bury(morgue, burial(1))
    await morgue.ledger.execute(RepublishDeadLetter(letter_id, cause(), payload=b"edited"))

    found = await morgue.reads.contents(letter_id)

    assert found is not None
    assert (found.payload, found.edited_payload) == (b"\x00\xff", b"edited")
    assert found.headers == {"traceparent": "00"}
    assert found.letter.state == "republishing"
    assert found.letter.republished_count == 1
    assert found.letter.settled_by == "operator:key_1"
    assert [(one.name, one.edited) for one in found.actions] == [
        ("dead_letter.buried", False),
        ("dead_letter.republished", True),
    ]
    assert found.actions[1].new_message_id == f"redrive:dlq_{letter_id.hex}:1"


async def test_discarded_letter_shows_who_and_why(morgue: Morgue) -> None:
    [letter_id] = await bury(morgue, burial(1))
    await morgue.ledger.execute(DiscardDeadLetter(letter_id, "old", cause()))

    [letter] = await morgue.reads.page(ALL, before=None, limit=1)

    assert (letter.state, letter.reason, letter.settled_at) == ("discarded", "old", cause().at)


async def test_jobs_show_what_they_are_about_and_what_they_did(morgue: Morgue) -> None:
    ids = await bury(morgue, burial(1), burial(2), burial(3, "dlr.inbound"), burial(9), burial(0))
    plan = JobPlan(
        "discard", "sms.normal", "ValueError", older_than_seconds=120, newer_than_seconds=550,
        rate_per_second=5, reason="old",
    )  # fmt: skip
    running, cancelled, finished = (letter_uuid(str(number), NOW) for number in range(3))
    await morgue.ledger.execute(StartDeadLetterJob(running, plan, cause()))
    await morgue.ledger.execute(DiscardDeadLetter(ids[0], "old", cause(), running))
    await morgue.ledger.execute(StartDeadLetterJob(cancelled, JobPlan("republish"), cause()))
    await morgue.ledger.execute(CancelDeadLetterJob(cancelled, cause(minutes=11)))
    await morgue.ledger.execute(StartDeadLetterJob(finished, JobPlan("republish"), cause()))
    await morgue.ledger.execute(FinishDeadLetterJob(finished, cause(minutes=12)))

    views = [await morgue.reads.job(one) for one in (running, cancelled, finished)]
    listed = await morgue.reads.jobs(before=None, limit=2)
    below = await morgue.reads.jobs(before=min(running, cancelled, finished), limit=2)

    assert [one and (one.state, one.total_count, one.done_count) for one in views] == [
        ("running", 2, 1),
        ("cancelled", 4, 0),
        ("finished", 4, 0),
    ]
    assert views[1] is not None
    assert views[1].ended_at == NOW + timedelta(minutes=11)
    assert len(listed) == 2
    assert not below
    assert await morgue.reads.job(UUID(int=1)) is None
