"""The loops of dead letters as a relay runs them: one leads, and goes on after any loss."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psycopg
import pytest
from tests.chaos.waiting import until

from semalink.application.dead_letter_reading import DeadLetterFilter, DeadLetterView
from semalink.application.dead_letters import RepublishDeadLetter
from semalink.domain.cause import Cause
from semalink.domain.dead_letter import DEAD_LETTER_PREFIX
from semalink.domain.ids import parse_id
from semalink_adapters.jetstream.dead_letters import Origin, Undone, letter_of
from semalink_adapters.postgres.dead_letter_work import DEAD_LETTER_LOCK
from semalink_adapters.postgres.dead_letters import PostgresDeadLetters
from semalink_ops.bootstrap import Core, open_core
from semalink_ops.dead_letter_keeping import keep_dead_letters
from semalink_ops.settings import Settings

LEADER = """
SELECT l.pid FROM pg_locks AS l
WHERE l.locktype = 'advisory' AND l.granted AND l.objid = %s
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


@pytest.fixture
def settings(database_url: str, nats_url: str) -> Settings:
    return Settings.from_environment(
        {
            "SEMALINK_DATABASE_URL": database_url,
            "SEMALINK_NATS_URL": nats_url,
            "SEMALINK_NATS_BYTES_DIVISOR": "64",
            "SEMALINK_KEY_PEPPER": "a-pepper-of-at-least-thirty-two-characters",
        }
    )


@asynccontextmanager
async def relay(settings: Settings) -> AsyncIterator[Core]:
    async with open_core(settings, "relay") as core:
        assert await core.connection.wait_ready(10)
        stop = asyncio.Event()
        keeping = asyncio.create_task(keep_dead_letters(core, stop))
        yield core
        stop.set()
        await asyncio.wait_for(keeping, 20)


async def leader(database_url: str) -> int | None:
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        row = await (await connection.execute(LEADER, (DEAD_LETTER_LOCK,))).fetchone()
    return int(row[0]) if row else None


async def bury(core: Core, number: int) -> DeadLetterView:
    now = datetime.now(UTC)
    undone = Undone("sms.content", b"poison", {}, f"first {number}", 5, "ValueError", "why")
    letter = letter_of(undone, Origin("SMS_CONTENT", now, number, "worker", now), now)
    await core.bus.publish(
        letter.subject, letter.payload, message_id=letter.message_id, headers=letter.headers
    )
    reads = PostgresDeadLetters(core.pool)

    async def waiting() -> DeadLetterView | None:
        found = await reads.page(DeadLetterFilter(state="waiting"), before=None, limit=1)
        return found[0] if found else None

    return await until(waiting, "recorded", within_seconds=10)


async def republish(core: Core, letter: DeadLetterView) -> None:
    letter_id = parse_id(DEAD_LETTER_PREFIX, letter.id)
    assert letter_id is not None
    cause = Cause("operator:test", datetime.now(UTC), "req_1")
    await core.ledger.execute(RepublishDeadLetter(letter_id, cause))
    reads = PostgresDeadLetters(core.pool)

    async def is_republished() -> bool:
        found = await reads.contents(letter_id)
        return found is not None and found.letter.state == "republished"

    await until(is_republished, "republished", within_seconds=10)


async def test_one_relay_leads_and_the_other_takes_over(
    settings: Settings, database_url: str
) -> None:
    async with relay(settings) as second:
        async with relay(settings) as first:
            before = await until(lambda: leader(database_url), "somebody leads", within_seconds=10)
            await republish(first, await bury(first, 1))
            async with await psycopg.AsyncConnection.connect(
                database_url, autocommit=True
            ) as connection:
                await connection.execute("SELECT pg_terminate_backend(%s)", (before,))

            async def other() -> int | None:
                now = await leader(database_url)
                return now if now != before else None

            await until(other, "another session leads", within_seconds=10)
        await republish(second, await bury(second, 2))
        assert (await second.connection.js.stream_info("SMS_CONTENT")).state.messages == 2
