"""Tasks: work that the database asks of workers, carried by the broker and done once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec
import structlog

from semalink.application.bus import Bus, Delivery, NotReady, Outgoing, PoisonMessage

CONTACTS_QUEUE = "contacts.validate"
CONTENT_QUEUE = "sms.content"
TASK_QUEUES = (CONTACTS_QUEUE, CONTENT_QUEUE)

#: Public ids of tasks, as dead letters name them.
TASK_PREFIX = "task_"

#: What wakes the publisher of tasks at once instead of at its next look.
TASK_POKE_SUBJECT = "tasks.poke"

PAGE_SIZE = 500

#: How long a task may be at the broker while its queue holds nothing, before it is lost.
MISSING_SECONDS = 60.0

#: How long nothing is published after the broker did not take something.
PAUSE_SECONDS = 0.5

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work; its row is there until the work is done."""

    task_id: UUID
    #: Which worker does it: one of TASK_QUEUES.
    queue: str
    #: What is done, such as "import_piece".
    kind: str
    account_id: UUID
    #: Ids and numbers of pieces; never a text or a phone number.
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WaitingTask:
    """A task that the broker must be given."""

    task_id: UUID
    queue: str
    kind: str
    #: How many times it was lost before; part of the broker's message id.
    round: int


class TaskTicket(msgspec.Struct, frozen=True):
    """What travels through the queue."""

    task_id: UUID
    kind: str


@dataclass(frozen=True, slots=True)
class QueueMark:
    """What the broker says of a queue of tasks."""

    queue: str
    #: What was published before cannot be in it.
    created_at: datetime
    #: Whether no worker has any of it in hand, nor anything left to take.
    is_empty: bool


class TaskBook(Protocol):
    """The tasks, as the one that publishes them sees them."""

    async def waiting(self, limit: int) -> Sequence[WaitingTask]:
        """Return tasks that the broker must be given, oldest first."""
        ...

    async def published(self, task_ids: Sequence[UUID]) -> None:
        """Record that the broker has them."""
        ...

    async def take_back_lost(self, mark: QueueMark, missing_seconds: float) -> int:
        """Have tasks published again that the broker has lost; return how many.

        A parked task without a dead letter counts as lost: nobody could send it round again.
        """
        ...


class TaskReading(Protocol):
    """The tasks, as a worker sees them; each call raises NotReady while the database is away."""

    async def find(self, task_id: UUID) -> Task | None:
        """Return a task; None when it is done."""
        ...

    async def park(self, task_id: UUID) -> None:
        """Have nobody publish it again by itself; its dead letter may."""
        ...


class TaskPublisher:
    """Publishes tasks that wait, and those that the broker has lost once more."""

    def __init__(self, book: TaskBook, bus: Bus, *, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._book = book
        self._bus = bus
        self._pause_seconds = pause_seconds

    async def step(self) -> int:
        """Publish a page; return how many of it the broker has now.

        A crash before the mark publishes again under the same id; a worker finds no row of what
        was done meanwhile.
        """
        page = await self._book.waiting(PAGE_SIZE)
        if not page:
            return 0
        outcomes = await self._bus.publish_many([_outgoing(task) for task in page])
        stored = [
            task.task_id for task, outcome in zip(page, outcomes, strict=True) if outcome.stored
        ]
        await self._book.published(stored)
        if len(stored) < len(page):
            _log.warning("task_publishing_failed", count=len(page) - len(stored))
            await asyncio.sleep(self._pause_seconds)
        return len(stored)

    async def repair(self, marks: Sequence[QueueMark]) -> None:
        """Have published again what the broker lost, so that wiping it loses nothing."""
        for mark in marks:
            count = await self._book.take_back_lost(mark, MISSING_SECONDS)
            if count:
                _log.warning("tasks_taken_back", queue=mark.queue, count=count)


#: Does a task. It deletes the task's row in the transaction of its effect, and what it does when
#: the row is gone by then changes nothing.
TaskWork = Callable[[Task], Awaitable[None]]


class TaskHandler:
    """Gives each delivered task to what does its kind."""

    def __init__(
        self, tasks: TaskReading, kinds: Mapping[str, TaskWork], *, deliveries_max: int
    ) -> None:
        self._tasks = tasks
        self._kinds = kinds
        self._deliveries_max = deliveries_max

    async def handle(self, delivery: Delivery) -> None:
        """Do the task, unless it is done; one that fails for the last time is parked."""
        try:
            ticket = msgspec.json.decode(delivery.payload, type=TaskTicket)
        except (msgspec.MsgspecError, UnicodeDecodeError) as unreadable:
            msg = "unreadable_task"
            raise PoisonMessage(msg) from unreadable
        try:
            await self._do(ticket.task_id)
        except NotReady:
            raise
        except Exception as error:
            if isinstance(error, PoisonMessage) or delivery.num_delivered >= self._deliveries_max:
                await self._tasks.park(ticket.task_id)
            raise

    async def _do(self, task_id: UUID) -> None:
        task = await self._tasks.find(task_id)
        if task is None:
            return
        work = self._kinds.get(task.kind)
        if work is None:
            msg = "unknown_kind_of_task"
            raise PoisonMessage(msg)
        await work(task)


def _outgoing(task: WaitingTask) -> Outgoing:
    payload = msgspec.json.encode(TaskTicket(task.task_id, task.kind))
    return Outgoing(task.queue, payload, f"task:{task.task_id.hex}:{task.round}")
