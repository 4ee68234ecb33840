"""Tasks on their way through a broker that loses its disk, and through dead letters."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from tests.chaos.waiting import until
from uuid_utils.compat import uuid7

from semalink.application.dead_letters import (
    BuryDeadLetter,
    DiscardDeadLetter,
    RepublishDeadLetter,
    about_of,
)
from semalink.application.tasks import CONTACTS_QUEUE, TASK_PREFIX, Task, TaskHandler
from semalink.domain.cause import Cause
from semalink.domain.ids import format_id
from semalink_adapters.jetstream.consumer import Limits, consume_each
from semalink_adapters.jetstream.source import JetStreamSource
from semalink_adapters.jetstream.streams import CONTACTS_VALIDATE
from semalink_adapters.postgres.tasks import PostgresTasks, call_for_task, take_task
from semalink_ops.bootstrap import Core, open_core
from semalink_ops.embedded.nats import EmbeddedNats
from semalink_ops.embedded.ports import free_port
from semalink_ops.runtime import utc_now
from semalink_ops.settings import Settings
from semalink_ops.task_publishing import publish_tasks

COUNT = 200


@pytest.fixture
def broker() -> Iterator[EmbeddedNats]:
    """A broker of its own, whose disk a test may take away."""
    with tempfile.TemporaryDirectory(prefix="semalink-") as folder:
        path = Path(folder)
        path.chmod(0o711)
        with EmbeddedNats(path / "server", free_port(), free_port()) as server:
            yield server


@pytest.fixture
async def core(database_url: str, broker: EmbeddedNats) -> AsyncIterator[Core]:
    settings = Settings.from_environment(
        {
            "SEMALINK_DATABASE_URL": database_url,
            "SEMALINK_NATS_URL": broker.url,
            "SEMALINK_NATS_BYTES_DIVISOR": "64",
            "SEMALINK_KEY_PEPPER": "p" * 32,
        }
    )
    async with open_core(settings, "test") as core:
        yield core


async def ask(core: Core, kind: str = "count") -> UUID:
    task = Task(uuid7(), CONTACTS_QUEUE, kind, UUID(int=7))
    async with core.pool.connection() as connection:
        await call_for_task(connection, task)
    return task.task_id


async def count(core: Core) -> int:
    async with core.pool.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM tasks")
        [row] = await cursor.fetchall()
    return int(row[0])


async def state(core: Core, task_id: UUID) -> str | None:
    async with core.pool.connection() as connection:
        cursor = await connection.execute("SELECT state FROM tasks WHERE task_id = %s", (task_id,))
        row = await cursor.fetchone()
    return None if row is None else str(row[0])


async def bury(core: Core, task_id: UUID) -> UUID:
    """Make a dead letter of a task, as it comes from the broker."""
    letter_id, about = uuid7(), format_id(TASK_PREFIX, task_id)
    async with core.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO dead_letters (dead_letter_id, buried_as, queue, subject, error_type,"
            " error, delivery_count, first_at, last_at, message_id, redrive_count, about,"
            " payload, headers)"
            " VALUES (%s, %s, %s, %s, '', '', 5, now(), now(), '', 0, %s, '', '{}')",
            (letter_id, about, CONTACTS_QUEUE, CONTACTS_QUEUE, about),
        )
    cause = Cause("worker:dead-letters", utc_now(), "job_1")
    await core.ledger.execute(
        BuryDeadLetter(letter_id, CONTACTS_QUEUE, "ValueError", "", 5, about, about, cause)
    )
    return letter_id


async def test_every_task_is_done_once_when_the_broker_lost_its_disk(
    core: Core, broker: EmbeddedNats
) -> None:
    done: Counter[UUID] = Counter()
    ids = [await ask(core) for _ in range(COUNT)]
    begin = asyncio.Event()

    async def work(task: Task) -> None:
        await begin.wait()
        async with core.pool.connection() as connection, connection.transaction():
            done[task.task_id] += await take_task(connection, task.task_id)

    stop = asyncio.Event()
    handler = TaskHandler(PostgresTasks(core.pool), {"count": work}, deliveries_max=5)
    async with asyncio.TaskGroup() as group:
        group.create_task(publish_tasks(core, stop))
        group.create_task(
            consume_each(
                JetStreamSource(core.connection, core.bus, CONTACTS_VALIDATE),
                handler.handle,
                stop=stop,
                limits=Limits(concurrency=2, batch=2),
            )
        )

        async def all_are_queued() -> bool:
            return {await state(core, task_id) for task_id in ids} == {"queued"}

        async def none_is_left() -> bool:
            return await count(core) == 0

        await until(all_are_queued, "the tasks at the broker", within_seconds=10)
        await asyncio.to_thread(broker.kill)
        broker.wipe_store()
        await asyncio.to_thread(broker.start)
        begin.set()
        await until(none_is_left, "the end of the tasks", within_seconds=30)
        stop.set()

    assert done == Counter(ids)


async def test_task_is_parked_with_its_dead_letter_and_goes_round_with_it(core: Core) -> None:
    task_id = await ask(core)
    about = format_id(TASK_PREFIX, task_id)
    cause = Cause("operator:1", utc_now(), "req_1")

    letter_id = await bury(core, task_id)
    states = [await state(core, task_id)]
    await core.ledger.execute(RepublishDeadLetter(letter_id, cause, about=about))
    states.append(await state(core, task_id))

    assert states == ["parked", "queued"]
    assert about_of(CONTACTS_QUEUE, f'{{"task_id": "{task_id}"}}'.encode()) == about


async def test_task_is_dropped_with_the_dead_letter_that_is_discarded(core: Core) -> None:
    kept, gone = await ask(core), await ask(core)
    cause = Cause("operator:1", utc_now(), "req_1")
    for task_id in (kept, gone):
        letter_id = await bury(core, task_id)

    await core.ledger.execute(DiscardDeadLetter(letter_id, "not to be done", cause))

    assert [await state(core, task_id) for task_id in (kept, gone)] == ["parked", None]
