"""The loop that publishes tasks: one at a time, woken when one was asked for."""

import asyncio
from contextlib import suppress

import nats.errors
import psycopg
import structlog

from semalink.application.relaying import POKE_SUBJECT
from semalink.application.tasks import TASK_POKE_SUBJECT, QueueMark, TaskPublisher
from semalink_adapters.jetstream.marks import read_marks
from semalink_adapters.jetstream.streams import CONTACTS_VALIDATE, SMS_CONTENT
from semalink_adapters.postgres.sessions import BOUNDED, CONNECT_TIMEOUT_SECONDS, KEEPALIVES
from semalink_adapters.postgres.tasks import PostgresTaskBook
from semalink_ops.bootstrap import Core
from semalink_ops.observability.task_metrics import TaskMetrics
from semalink_ops.runtime import wait_for_stop

POLL_SECONDS = 0.1
#: Between two steps, for every commit pokes: what is asked for meanwhile is published together.
LINGER_SECONDS = 0.02
RETRY_SECONDS = 0.5
REPAIR_SECONDS = 5.0
#: A publisher that takes longer gives its lock up to another one.
STEP_SECONDS_MAX = 30.0

_QUEUES = (CONTACTS_VALIDATE, SMS_CONTENT)
_NAMES = {queue.stream: queue.name for queue in _QUEUES}

_log = structlog.get_logger(__name__)


async def publish_tasks(core: Core, stop: asyncio.Event) -> None:
    """Publish tasks until the stop; a second publisher stands by."""
    poked = asyncio.Event()
    metrics = TaskMetrics(core.metrics)
    for subject in (TASK_POKE_SUBJECT, POKE_SUBJECT):
        await core.bus.on_poke(subject, poked.set)
    while not stop.is_set():
        try:
            connection = await psycopg.AsyncConnection.connect(
                core.settings.database_url.reveal(),
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                application_name="semalink-task-publisher",
                options=BOUNDED,
                **KEEPALIVES,
            )
            try:
                await _Lead(core, PostgresTaskBook(connection), metrics, poked).run(stop)
            finally:
                # Not as a context, which would ask a server that hangs to roll back.
                await connection.close()
        except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError):
            _log.warning("task_publisher_lost_database")
            await wait_for_stop(stop, RETRY_SECONDS)


class _Lead:
    """One publisher, from taking the lock to losing its connection."""

    def __init__(
        self, core: Core, book: PostgresTaskBook, metrics: TaskMetrics, poked: asyncio.Event
    ) -> None:
        self._core = core
        self._book = book
        self._metrics = metrics
        self._poked = poked
        self._publisher = TaskPublisher(book, core.bus)
        self._repair_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        while not await self._book.try_lead():
            if await wait_for_stop(stop, RETRY_SECONDS):
                return
        _log.info("task_publisher_leads")
        while not stop.is_set():
            if not self._core.connection.ready:
                await wait_for_stop(stop, RETRY_SECONDS)
                continue
            self._poked.clear()
            async with asyncio.timeout(STEP_SECONDS_MAX):
                await self._repair()
                published = await self._publisher.step()
            if not published:
                await _wait(self._poked, stop)
            await wait_for_stop(stop, LINGER_SECONDS)

    async def _repair(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._repair_at:
            return
        self._repair_at = now + REPAIR_SECONDS
        await self._publisher.repair(await _read_marks(self._core))
        self._metrics.measured(await self._book.measure())


async def _read_marks(core: Core) -> list[QueueMark]:
    try:
        marks = await read_marks(core.connection.js, _QUEUES)
    except (nats.errors.Error, TimeoutError):
        return []
    return [
        QueueMark(_NAMES[mark.stream], mark.created_at, mark.waiting_count == 0) for mark in marks
    ]


async def _wait(poked: asyncio.Event, stop: asyncio.Event) -> None:
    if stop.is_set():
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(POLL_SECONDS):
            await poked.wait()
