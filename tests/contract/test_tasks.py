"""Tasks: the same rules on the fake and on the real table."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from semalink.application.tasks import (
    CONTACTS_QUEUE,
    CONTENT_QUEUE,
    QueueMark,
    Task,
    TaskBook,
    TaskPublisher,
    TaskReading,
)
from semalink_adapters.memory_bus import MemoryBus
from semalink_adapters.memory_tasks import MemoryTasks
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.tasks import (
    PostgresTaskBook,
    PostgresTasks,
    call_for_task,
    ready_connection,
    take_task,
)

MADE_BEFORE = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """Tasks, and both sides that see them."""

    book: TaskBook
    tasks: TaskReading
    memory: MemoryTasks | None = None
    connection: psycopg.AsyncConnection | None = None

    async def ask(self, queue: str = CONTACTS_QUEUE) -> Task:
        task = Task(uuid4(), queue, "import_piece", UUID(int=7), {"number": 3})
        if self.connection is None:
            assert self.memory is not None
            self.memory.add(task)
        else:
            await call_for_task(self.connection, task)
        return task

    async def end(self, task: Task) -> bool:
        if self.connection is None:
            assert self.memory is not None
            return self.memory.end(task.task_id)
        return await take_task(self.connection, task.task_id)


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        memory = MemoryTasks()
        yield World(memory, memory, memory=memory)
        return
    url = request.getfixturevalue("database_url")
    async with (
        await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
        open_pool(url, size=1) as pool,
    ):
        yield World(PostgresTaskBook(connection), PostgresTasks(pool), connection=connection)


def mark(*, created_at: datetime = MADE_BEFORE, is_empty: bool = True) -> QueueMark:
    return QueueMark(CONTACTS_QUEUE, created_at, is_empty)


async def test_task_is_published_once_and_found_until_it_ends(world: World) -> None:
    task = await world.ask()
    publisher = TaskPublisher(world.book, MemoryBus())

    published = [await publisher.step(), await publisher.step()]
    found = await world.tasks.find(task.task_id)
    ended = [await world.end(task), await world.end(task)]

    assert published == [1, 0]
    assert found == task
    assert ended == [True, False]
    assert await world.tasks.find(task.task_id) is None


async def test_publish_leaves_a_task_waiting_when_the_broker_is_away(world: World) -> None:
    await world.ask()
    bus = MemoryBus()
    publisher = TaskPublisher(world.book, bus, pause_seconds=0)

    bus.connected = False
    published = await publisher.step()

    assert published == 0
    assert len(await world.book.waiting(10)) == 1


async def test_take_back_finds_what_is_older_than_its_stream(world: World) -> None:
    task, other = await world.ask(), await world.ask(CONTENT_QUEUE)
    await world.book.published([task.task_id, other.task_id])
    made_anew = mark(created_at=datetime.now(UTC) + timedelta(hours=1), is_empty=False)

    count = await world.book.take_back_lost(made_anew, 60.0)

    assert count == 1
    [again] = await world.book.waiting(10)
    assert (again.task_id, again.round) == (task.task_id, 1)


@pytest.mark.parametrize(
    ("is_empty", "missing_seconds", "count"), [(True, 0.0, 1), (False, 0.0, 0), (True, 60.0, 0)]
)
async def test_take_back_finds_what_an_empty_queue_should_hold(
    world: World, *, is_empty: bool, missing_seconds: float, count: int
) -> None:
    task = await world.ask()
    await world.book.published([task.task_id])

    found = await world.book.take_back_lost(mark(is_empty=is_empty), missing_seconds)

    assert found == count


async def test_park_keeps_a_task_from_being_published_again(world: World) -> None:
    task = await world.ask()
    await world.book.published([task.task_id])

    await world.tasks.park(task.task_id)
    await world.tasks.park(UUID(int=1))

    assert await world.book.take_back_lost(mark(), 0.0) == 0
    assert await world.book.waiting(10) == []
    assert await world.tasks.find(task.task_id) == task


async def test_work_that_the_database_stops_is_not_taken_for_a_database_that_is_away(
    database_url: str,
) -> None:
    async with open_pool(database_url, size=1) as pool:
        with pytest.raises(psycopg.errors.QueryCanceled):
            await _outlast_the_limit(pool)


async def _outlast_the_limit(pool: AsyncConnectionPool) -> None:
    async with ready_connection(pool) as connection:
        await connection.execute("SELECT set_config('statement_timeout', '1', false)")
        await connection.execute("SELECT pg_sleep(10)")
