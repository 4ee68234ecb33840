"""The loops of dead letters, beside the relay."""

import asyncio

import psycopg
import structlog

from semalink.application.bus import NotReady
from semalink_adapters.jetstream.abandoned import Undertaker
from semalink_adapters.jetstream.consumer import Limits, consume_batches, consume_each
from semalink_adapters.jetstream.source import JetStreamSource
from semalink_adapters.jetstream.streams import ADVISORY_READER, DEAD_LETTER_READER, QUEUES
from semalink_adapters.postgres.dead_letter_work import DEAD_LETTER_LOCK, DeadLetterWork
from semalink_adapters.postgres.sessions import BOUNDED, CONNECT_TIMEOUT_SECONDS, KEEPALIVES
from semalink_ops.bootstrap import Core
from semalink_ops.dead_lettering import BulkActions, DeadLetterProjector, Republisher, UnseenFinder
from semalink_ops.runtime import FINISH_SECONDS, background, utc_now, wait_for_stop

SWEEP_SECONDS = 60.0
STEP_SECONDS = 0.2
MEASURE_SECONDS = 10.0
RETRY_SECONDS = 1.0
#: What takes longer is answered by nobody: the server hangs, and another relay may lead.
STEP_SECONDS_MAX = 30.0

_LIMITS = Limits(concurrency=2, batch=100, not_ready_seconds=(0.2, 5.0))

_log = structlog.get_logger(__name__)


async def keep_dead_letters(core: Core, stop: asyncio.Event) -> None:
    """Find, record and republish dead letters until the stop.

    Any number of processes may find and record; one at a time republishes.
    """
    work = DeadLetterWork(core.pool)
    undertaker = Undertaker(core.connection, core.bus, observer=core.bus_metrics, now=utc_now)
    projector = DeadLetterProjector(work, core.ledger)
    async with background(
        consume_batches(
            JetStreamSource(core.connection, core.bus, DEAD_LETTER_READER),
            projector.handle,
            stop=stop,
            limits=_LIMITS,
        ),
        consume_each(
            JetStreamSource(core.connection, core.bus, ADVISORY_READER),
            undertaker.handle,
            stop=stop,
            limits=_LIMITS,
        ),
        _sweep(core, undertaker, stop),
        _find(UnseenFinder(work, projector), stop),
        finish_seconds=FINISH_SECONDS,
    ):
        await _lead_again(core, work, stop)


async def _sweep(core: Core, undertaker: Undertaker, stop: asyncio.Event) -> None:
    while not await wait_for_stop(stop, SWEEP_SECONDS):
        if not core.connection.ready:
            continue
        for queue, count in (await undertaker.sweep()).items():
            core.metrics.queue_stuck(queue, count)


async def _find(finder: UnseenFinder, stop: asyncio.Event) -> None:
    # Beside the lead, which a long backlog must not end; whatever two find is one letter.
    while not stop.is_set():
        try:
            await finder.step()
        except NotReady:
            _log.warning("dead_letters_not_looked_for")
        await wait_for_stop(stop, SWEEP_SECONDS)


async def _lead_again(core: Core, work: DeadLetterWork, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            connection = await psycopg.AsyncConnection.connect(
                core.settings.database_url.reveal(),
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                application_name="semalink-dead-letters",
                options=BOUNDED,
                **KEEPALIVES,
            )
            try:
                await _lead(core, connection, work, stop)
            finally:
                await connection.close()
        except (psycopg.OperationalError, psycopg.InterfaceError, NotReady, TimeoutError):
            _log.warning("dead_letters_postponed")
            await wait_for_stop(stop, RETRY_SECONDS)


async def _lead(
    core: Core,
    connection: psycopg.AsyncConnection[tuple[bool]],
    work: DeadLetterWork,
    stop: asyncio.Event,
) -> None:
    asked = "SELECT pg_try_advisory_lock(%s)"
    while not (await _ask(connection, asked, DEAD_LETTER_LOCK)):
        if await wait_for_stop(stop, RETRY_SECONDS):
            return
    republisher, actions = Republisher(work, core.bus), BulkActions(work, core.ledger)
    loop = asyncio.get_running_loop()
    measure_at, stepped_at = 0.0, loop.time()
    while not await wait_for_stop(stop, STEP_SECONDS):
        started_at = loop.time()
        # Without the connection the lock is gone, and another relay may lead.
        await _ask(connection, "SELECT %s IS NOT NULL", DEAD_LETTER_LOCK)
        async with asyncio.timeout(STEP_SECONDS_MAX):
            await actions.step(started_at - stepped_at)
            if core.connection.ready:
                await republisher.step()
            if started_at >= measure_at:
                measure_at = started_at + MEASURE_SECONDS
                await _measure(core, work)
        stepped_at = started_at


async def _ask(
    connection: psycopg.AsyncConnection[tuple[bool]], statement: str, number: int
) -> bool:
    async with asyncio.timeout(STEP_SECONDS_MAX):
        row = await (await connection.execute(statement, (number,))).fetchone()
    return bool(row and row[0])


async def _measure(core: Core, work: DeadLetterWork) -> None:
    waiting = await work.measure()
    for name in {*(queue.name for queue in QUEUES), *waiting}:
        count, age_seconds = waiting.get(name, (0, 0.0))
        core.metrics.dead_letters_waiting(name, count, age_seconds)
