"""What is read of a campaign's money, as whoever pays and as the agent's customer who does not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import create_engine
from tests.contract.test_campaign_money import (
    COST_MICROS,
    PRICE_MICROS,
    Release,
    Start,
    cause,
    opened,
    submit,
)
from uuid_utils.compat import uuid7

from semalink.application.credit_reading import EntryFilter, EntryView
from semalink.application.delivery_reports import RecordReport
from semalink.application.ledger import Ledger
from semalink.application.ports import DeliveryReport, ReportState
from semalink.application.reading import Reads
from semalink.application.submission import Job
from semalink.domain.account import Kind
from semalink.projections.entries import ENTRIES
from semalink.projections.messages import MESSAGES
from semalink.projections.runner import ProjectionRunner
from semalink_adapters.memory import MemoryReads
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.migrate import sqlalchemy_url
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.reads import PostgresReads


@dataclass
class World:
    """An agent, its customer, and a campaign: one message charged, one refunded, one unspent."""

    ledger: Ledger
    reads: Reads
    project: Callable[[], Any]
    agent_id: UUID
    customer_id: UUID
    campaign_id: UUID
    message_ids: list[UUID]

    async def live_through(self) -> None:
        ids = self.campaign_id, self.message_ids, self.customer_id, self.agent_id
        await self.ledger.execute(Start(*ids, cause()))
        for one in self.message_ids[:2]:
            job = Job(one, self.customer_id, self.agent_id, self.campaign_id)
            await submit(self.ledger, job, one.hex)
        refused = DeliveryReport(self.message_ids[1].hex, ReportState.REJECTED, "Rejected")
        job_ids = self.message_ids[1], self.agent_id
        await self.ledger.execute(RecordReport(*job_ids, "celcom", refused, cause()))
        await self.ledger.execute(Release(self.campaign_id, self.agent_id, cause()))
        await asyncio.to_thread(self.project)

    async def entries(self, before: int | None = None, **wanted: Any) -> list[EntryView]:
        sought = EntryFilter(campaign_id=self.campaign_id, **wanted)
        found = await self.reads.entries(self.agent_id, sought, before=before, limit=9)
        return list(found)


async def _world(ledger: Ledger, reads: Reads, project: Callable[[], Any]) -> World:
    agent_id = await opened(ledger, Kind.AGENT, 10 * COST_MICROS)
    customer_id = await opened(ledger, Kind.CUSTOMER, agent_id=agent_id)
    world = World(
        ledger, reads, project, agent_id, customer_id, uuid7(), [uuid7() for _ in range(3)]
    )
    await world.live_through()
    return world


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        ledger = MemoryLedger()
        yield await _world(ledger, MemoryReads(ledger), lambda: None)
        return
    database_url = request.getfixturevalue("database_url")
    engine = create_engine(sqlalchemy_url(database_url))
    runners = [ProjectionRunner(engine, one, EventMapper.read) for one in (MESSAGES, ENTRIES)]

    def project() -> None:
        for runner in runners:
            # Others on the server may hold readers back for a moment.
            while not runner.step().event_count:
                pass

    async with GroupCommit(database_url) as durable, open_pool(database_url, size=1) as pool:
        yield await _world(durable, PostgresReads(pool), project)
    engine.dispose()


async def test_entries_of_a_campaign_are_one_reservation_its_charges_and_one_release(
    world: World,
) -> None:
    found = await world.entries()

    first, second = (f"msg_{one.hex}" for one in world.message_ids[:2])
    assert [(one.name, one.amount_micros, one.message_id) for one in found] == [
        ("credit.released", COST_MICROS, None),
        ("credit.refunded", COST_MICROS, second),
        ("credit.charged", COST_MICROS, second),
        ("credit.charged", COST_MICROS, first),
        ("credit.reserved", 3 * COST_MICROS, None),
    ]
    assert {one.campaign_id for one in found} == {f"cmp_{world.campaign_id.hex}"}
    assert {one.customer_id for one in found} == {f"acct_{world.customer_id.hex}"}
    assert found[0].reserved_after_micros == 0


async def test_entries_of_a_campaign_are_filtered_further(world: World) -> None:
    everything = await world.entries()

    charged = await world.entries(name="charged")
    older = await world.entries(before=everything[-2].entry)
    late = await world.entries(at_from=everything[0].recorded_at)
    early = await world.entries(at_before=everything[-1].recorded_at)
    others = await world.reads.entries(
        world.agent_id, EntryFilter(campaign_id=uuid7()), before=None, limit=9
    )

    assert [one.name for one in charged] == ["credit.charged", "credit.charged"]
    assert [one.name for one in older] == ["credit.reserved"]
    assert [one.entry for one in late] == [everything[0].entry]
    assert early == list(others) == []


async def test_customer_sees_what_its_campaign_moved_in_its_own_prices(world: World) -> None:
    ids = world.customer_id, world.agent_id

    found = await world.reads.movements(
        *ids, EntryFilter(campaign_id=world.campaign_id), before=None, limit=9
    )
    others = await world.reads.movements(
        *ids, EntryFilter(campaign_id=uuid7()), before=None, limit=9
    )

    assert [(one.name, one.amount_micros) for one in found] == [
        ("credit.refunded", PRICE_MICROS),
        ("credit.charged", PRICE_MICROS),
        ("credit.charged", PRICE_MICROS),
    ]
    assert {one.campaign_id for one in found} == {f"cmp_{world.campaign_id.hex}"}
    assert others == []
    assert all(world.agent_id.hex not in str(one) for one in found)


async def test_history_of_a_message_of_a_campaign_tells_its_charge_and_refund(
    world: World,
) -> None:
    own = await world.reads.history(world.message_ids[1], world.customer_id)
    told = await world.reads.history(world.message_ids[1], None)

    assert own is not None
    assert told is not None
    names = [one.name for one in own]
    assert names == [one.name for one in told]
    assert [name for name in names if name.startswith("credit.")] == [
        "credit.charged", "credit.refunded",
    ]  # fmt: skip
    charged = next(one for one in own if one.name == "credit.charged")
    assert charged.data["reservation_id"] == f"cmp_{world.campaign_id.hex}"
    assert charged.data["price_micros"] == PRICE_MICROS
    assert str(COST_MICROS) not in str([one.data for one in own if "credit" in one.name])


async def test_message_of_a_campaign_is_explained_in_its_own_price(world: World) -> None:
    explanation = await world.reads.explanation(world.message_ids[1], world.customer_id)

    assert explanation is not None
    told = msgspec.json.encode(explanation).decode()
    assert str(PRICE_MICROS) in told
    assert str(COST_MICROS) not in told
    assert world.agent_id.hex not in told
