"""The workers of tasks: contacts and content, each alone or both in one process."""

import asyncio
from collections.abc import Mapping

from semalink.application.tasks import TaskHandler, TaskWork
from semalink_adapters.jetstream.consumer import Limits, consume_each
from semalink_adapters.jetstream.source import JetStreamSource
from semalink_adapters.jetstream.streams import CONTACTS_VALIDATE, SMS_CONTENT, Queue
from semalink_adapters.postgres.tasks import PostgresTasks
from semalink_ops.bootstrap import Core
from semalink_ops.content_keeping import open_rule_book
from semalink_ops.task_kinds import contact_kinds, content_kinds

#: A task is thousands of rows, so few at a time fill a core, and none waits behind another.
_LIMITS = Limits(concurrency=2, batch=2, poll_seconds=1.0, not_ready_seconds=(0.2, 1.0))


async def run_contacts_worker(core: Core, stop: asyncio.Event) -> None:
    """Check contacts until the stop."""
    await _consume(core, stop, CONTACTS_VALIDATE, contact_kinds(core))


async def run_content_worker(core: Core, stop: asyncio.Event) -> None:
    """Check contents until the stop."""
    async with open_rule_book(core) as book:
        await _consume(core, stop, SMS_CONTENT, content_kinds(core, book.rules))


async def run_background_worker(core: Core, stop: asyncio.Event) -> None:
    """Check contacts and contents until the stop, in one process."""
    async with asyncio.TaskGroup() as group:
        group.create_task(run_contacts_worker(core, stop))
        group.create_task(run_content_worker(core, stop))


async def _consume(
    core: Core, stop: asyncio.Event, queue: Queue, kinds: Mapping[str, TaskWork]
) -> None:
    handler = TaskHandler(PostgresTasks(core.pool), kinds, deliveries_max=queue.max_deliver)
    await consume_each(
        JetStreamSource(core.connection, core.bus, queue),
        handler.handle,
        stop=stop,
        limits=_LIMITS,
        observer=core.bus_metrics,
    )
