"""Tasks in the hands of workers, and their publishing."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from semalink.application.bus import NotReady, PoisonMessage
from semalink.application.tasks import (
    CONTACTS_QUEUE,
    CONTENT_QUEUE,
    QueueMark,
    Task,
    TaskHandler,
    TaskPublisher,
    TaskTicket,
)
from semalink_adapters.memory_bus import MemoryBus
from semalink_adapters.memory_tasks import MemoryTasks

TASK = Task(UUID(int=1), CONTACTS_QUEUE, "known", UUID(int=7))


class Delivered:
    """One delivery of a ticket."""

    subject = CONTACTS_QUEUE
    headers: Mapping[str, str] = {}
    message_id = "task"
    settled = False

    def __init__(self, payload: bytes, num_delivered: int = 1) -> None:
        self.payload = payload
        self.num_delivered = num_delivered

    async def ack(self) -> None: ...

    async def nak(self, delay_seconds: float = 0) -> None: ...

    async def term(self, reason: str) -> None: ...

    async def in_progress(self) -> None: ...


def ticket(task: Task = TASK, num_delivered: int = 1) -> Delivered:
    return Delivered(msgspec.json.encode(TaskTicket(task.task_id, task.kind)), num_delivered)


@pytest.fixture
def tasks() -> MemoryTasks:
    return MemoryTasks()


async def is_parked(tasks: MemoryTasks) -> bool:
    return await tasks.find(TASK.task_id) is not None and not await tasks.waiting(1)


async def test_handle_does_the_task_and_nothing_when_it_is_done(tasks: MemoryTasks) -> None:
    done: list[Task] = []

    async def work(task: Task) -> None:
        done.append(task)
        tasks.end(task.task_id)

    tasks.add(TASK)
    handler = TaskHandler(tasks, {"known": work}, deliveries_max=5)

    await handler.handle(ticket())
    await handler.handle(ticket())

    assert done == [TASK]


@pytest.mark.parametrize(("num_delivered", "parked"), [(4, False), (5, True)])
async def test_handle_parks_a_task_when_it_fails_for_the_last_time(
    tasks: MemoryTasks, *, num_delivered: int, parked: bool
) -> None:
    async def fail(_: Task) -> None:
        raise ValueError

    tasks.add(TASK)
    handler = TaskHandler(tasks, {"known": fail}, deliveries_max=5)

    with pytest.raises(ValueError, match=r"^$"):
        await handler.handle(ticket(num_delivered=num_delivered))

    assert await is_parked(tasks) is parked


async def test_handle_parks_nothing_when_the_database_is_away(tasks: MemoryTasks) -> None:
    async def wait(_: Task) -> None:
        raise NotReady

    tasks.add(TASK)
    handler = TaskHandler(tasks, {"known": wait}, deliveries_max=5)

    with pytest.raises(NotReady):
        await handler.handle(ticket(num_delivered=5))

    assert not await is_parked(tasks)


async def test_handle_parks_a_task_of_an_unknown_kind(tasks: MemoryTasks) -> None:
    tasks.add(TASK)
    handler = TaskHandler(tasks, {}, deliveries_max=5)

    with pytest.raises(PoisonMessage, match="unknown_kind_of_task"):
        await handler.handle(ticket())

    assert await is_parked(tasks)


@pytest.mark.parametrize("payload", [b"{}", b"\xff", b""])
async def test_handle_refuses_what_is_no_ticket(tasks: MemoryTasks, payload: bytes) -> None:
    handler = TaskHandler(tasks, {}, deliveries_max=5)

    with pytest.raises(PoisonMessage, match="unreadable_task"):
        await handler.handle(Delivered(payload))


async def test_repair_publishes_again_under_another_id(tasks: MemoryTasks) -> None:
    bus = MemoryBus()
    publisher = TaskPublisher(tasks, bus)
    tasks.add(TASK)
    await publisher.step()

    made_anew = QueueMark(CONTACTS_QUEUE, datetime.now(UTC) + timedelta(hours=1), is_empty=True)
    kept = QueueMark(CONTENT_QUEUE, datetime.now(UTC), is_empty=True)
    await publisher.repair([made_anew, kept])
    [again] = await tasks.waiting(10)
    published_again = await publisher.step()

    assert published_again == 1
    assert again.round == 1
