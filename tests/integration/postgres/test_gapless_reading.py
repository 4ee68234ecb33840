"""Readers of the logs see each row once, however late and in whatever order writers commit."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from sqlalchemy import Connection, create_engine
from uuid_utils.compat import uuid7

from semalink.projections.projection import Projection, Recorded, Target
from semalink.projections.runner import ProjectionRunner
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.migrate import sqlalchemy_url
from semalink_adapters.postgres.outbox import PostgresOutbox

WRITER_COUNT = 64
TRANSACTIONS_EACH = 4

INSERT_EVENT = (
    "INSERT INTO message_events (originator_id, originator_version, topic, state)"
    " VALUES (%s, 1, 'message.accepted.1', %s)"
)
INSERT_REPORT = (
    "WITH stored AS ("
    "INSERT INTO inbound_reports (report_id, aggregator, content_type, body, received_at)"
    " VALUES (%s, 'celcom', 'application/json', '', now()) RETURNING report_id, received_at)"
    " INSERT INTO pending_reports (report_id, received_at) SELECT * FROM stored"
)


def _accepted(state: dict[str, Any], message_id: UUID) -> bytes:
    return msgspec.json.encode(state | {"originator_id": message_id})


class _Writers:
    """Threads that insert, dawdle inside their transactions and mostly commit."""

    def __init__(self, database_url: str, template: dict[str, Any], seed: int) -> None:
        self._database_url = database_url
        self._template = template
        self._seed = seed
        self.message_ids: list[UUID] = []
        self.report_ids: list[UUID] = []
        self._threads = [
            threading.Thread(target=self._write, args=(number,)) for number in range(WRITER_COUNT)
        ]

    @property
    def are_done(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def have_all_in(self, message_ids: Sequence[UUID], report_ids: Sequence[UUID]) -> bool:
        """Tell whether readers came as far; others on the server may hold them back a while."""
        return len(message_ids) >= len(self.message_ids) and len(report_ids) >= len(self.report_ids)

    def _write(self, number: int) -> None:
        dice = random.Random(self._seed + number)
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            for _ in range(TRANSACTIONS_EACH):
                message_ids = [uuid7() for _ in range(dice.randint(1, 3))]
                report_ids = [uuid7() for _ in range(dice.randint(0, 2))]
                with connection.transaction(force_rollback=dice.random() < 0.1) as transaction:
                    self._insert(connection, dice, message_ids, report_ids)
                if not transaction.force_rollback:
                    self.message_ids += message_ids
                    self.report_ids += report_ids

    def _insert(
        self,
        connection: psycopg.Connection[Any],
        dice: random.Random,
        message_ids: Iterable[UUID],
        report_ids: Iterable[UUID],
    ) -> None:
        if dice.random() < 0.5:
            connection.execute("SELECT pg_current_xact_id()")
            _dawdle(connection, dice)
        for message_id in message_ids:
            connection.execute(INSERT_EVENT, (message_id, _accepted(self._template, message_id)))
        _dawdle(connection, dice)
        for report_id in report_ids:
            connection.execute(INSERT_REPORT, (report_id,))
        _dawdle(connection, dice)


def _dawdle(connection: psycopg.Connection[Any], dice: random.Random) -> None:
    connection.execute("SELECT pg_sleep(%s)", (dice.choice((0.0, 0.0, 0.001, 0.01, 0.03)),))


@pytest.fixture
async def template(desk: Any, connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """The stored form of an accepted message."""
    await desk.accept(await desk.open_account(message_count=1))
    # Past the trigger that keeps the log as it is.
    connection.execute("SET session_replication_role = replica")
    [(state,)] = connection.execute("DELETE FROM message_events RETURNING state").fetchall()
    decoded: dict[str, Any] = msgspec.json.decode(state)
    return decoded


@asynccontextmanager
async def _open_outbox(database_url: str) -> AsyncIterator[PostgresOutbox]:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        outbox = PostgresOutbox(connection)
        assert await outbox.try_lead()
        yield outbox


async def _read_jobs(outbox: PostgresOutbox, seen: list[UUID]) -> bool:
    page = await outbox.next_jobs(7)
    seen += [job.job.message_id for job in page.jobs]
    if page.end is not None:
        await outbox.jobs_published(page.end)
    return page.end is not None


async def _read_reports(outbox: PostgresOutbox, seen: list[UUID]) -> bool:
    page = await outbox.next_reports(7)
    seen += page.report_ids
    if page.end is not None:
        await outbox.reports_published(page.end)
    return page.end is not None


async def test_outbox_sees_each_row_once_when_writers_commit_late(
    database_url: str, template: dict[str, Any]
) -> None:
    writers = _Writers(database_url, template, seed=random.getrandbits(32))
    message_ids: list[UUID] = []
    report_ids: list[UUID] = []

    async with _open_outbox(database_url) as outbox, asyncio.timeout(60):
        writers.start()
        while not (writers.are_done and writers.have_all_in(message_ids, report_ids)):
            await _read_jobs(outbox, message_ids)
            await _read_reports(outbox, report_ids)
        more = await _read_jobs(outbox, message_ids) or await _read_reports(outbox, report_ids)

    assert not more
    assert sorted(message_ids) == sorted(writers.message_ids)
    assert sorted(report_ids) == sorted(writers.report_ids)


def _project_all(database_url: str) -> list[UUID]:
    """Return what a projection is given in one step."""
    seen: list[UUID] = []

    def project(events: Iterable[Recorded], _: Connection, __: Target) -> None:
        seen.extend(event.originator_id for event in events)

    engine = create_engine(sqlalchemy_url(database_url))
    projection = Projection("seen", "message_events", (), project)
    ProjectionRunner(engine, projection, EventMapper.read).step()
    engine.dispose()
    return seen


async def test_projection_sees_each_event_once_when_writers_commit_late(
    database_url: str, template: dict[str, Any]
) -> None:
    writers = _Writers(database_url, template, seed=random.getrandbits(32))
    seen: list[UUID] = []

    def project(events: Iterable[Recorded], _: Connection, __: Target) -> None:
        seen.extend(event.originator_id for event in events)

    def read_all() -> None:
        engine = create_engine(sqlalchemy_url(database_url))
        runner = ProjectionRunner(
            engine, Projection("seen", "message_events", (), project), EventMapper.read
        )
        deadline = time.monotonic() + 60
        while not (writers.are_done and writers.have_all_in(seen, writers.report_ids)):
            assert time.monotonic() < deadline
            runner.step()
        assert runner.step().event_count == 0
        engine.dispose()

    writers.start()
    await asyncio.to_thread(read_all)

    assert sorted(seen) == sorted(writers.message_ids)


async def test_outbox_waits_for_a_transaction_that_is_open_and_loses_nothing(
    database_url: str, template: dict[str, Any], connection: psycopg.Connection[Any]
) -> None:
    early, late = uuid7(), uuid7()
    connection.execute("BEGIN")
    connection.execute(INSERT_EVENT, (early, _accepted(template, early)))
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute(INSERT_EVENT, (late, _accepted(template, late)))

    async with _open_outbox(database_url) as outbox:
        seen: list[UUID] = []
        while_open = await _read_jobs(outbox, seen)
        connection.execute("COMMIT")
        await _read_jobs(outbox, seen)

    assert not while_open
    assert seen == [early, late]


async def test_readers_go_on_in_order_when_transaction_ids_gain_a_digit(
    database_url: str, template: dict[str, Any], connection: psycopg.Connection[Any]
) -> None:
    nine, ten, eleven = (uuid7() for _ in range(3))
    for message_id, xid in ((ten, 10), (nine, 9), (eleven, 11)):
        connection.execute(INSERT_EVENT, (message_id, _accepted(template, message_id)))
        connection.execute(
            "UPDATE message_events SET xid = %s::text::xid8 WHERE originator_id = %s",
            (xid, message_id),
        )

    async with _open_outbox(database_url) as outbox:
        page = await outbox.next_jobs(10)

    assert [job.job.message_id for job in page.jobs] == [nine, ten, eleven]
    assert page.end is not None
    assert page.end.xid == "11"
    assert _project_all(database_url) == [nine, ten, eleven]


async def test_outbox_keeps_its_place_when_a_page_was_not_published(
    database_url: str, template: dict[str, Any], connection: psycopg.Connection[Any]
) -> None:
    message_id = uuid7()
    connection.execute(INSERT_EVENT, (message_id, _accepted(template, message_id)))

    async with _open_outbox(database_url) as outbox:
        lost = await outbox.next_jobs(10)
        again = await outbox.next_jobs(10)

    assert lost == again
    assert [job.job.message_id for job in again.jobs] == [message_id]


async def test_only_one_outbox_leads(database_url: str) -> None:
    async with (
        _open_outbox(database_url),
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other,
    ):
        standby = PostgresOutbox(other)

        assert not await standby.try_lead()

    async with _open_outbox(database_url):
        pass


async def test_projection_is_applied_by_one_runner_while_another_stands_by(
    database_url: str, template: dict[str, Any], connection: psycopg.Connection[Any]
) -> None:
    message_id = uuid7()
    connection.execute(INSERT_EVENT, (message_id, _accepted(template, message_id)))
    engine = create_engine(sqlalchemy_url(database_url))
    counts: list[int] = []

    def project(events: Iterable[Recorded], _: Connection, __: Target) -> None:
        assert len(list(events)) == 1
        counts.append(standby.step().event_count)

    projection = Projection("contended", "message_events", (), project)
    standby = ProjectionRunner(engine, projection, EventMapper.read)
    active = ProjectionRunner(engine, projection, EventMapper.read)

    applied = active.step()

    assert (applied.event_count, counts) == (1, [0])
    assert active.step().event_count == 0
    engine.dispose()
