"""The relay tells of what waits behind a transaction that stays open, and loses none of it."""

import asyncio
from typing import Any

import psycopg
from tests.chaos.waiting import until

from semalink_adapters.jetstream.streams import SMS_NORMAL
from semalink_ops.bootstrap import Core, open_core
from semalink_ops.settings import Settings
from semalink_ops.workers import run_relay

AGE = "semalink_outbox_oldest_age_seconds"


def _settings(database_url: str, nats_url: str) -> Settings:
    return Settings.from_environment(
        {
            "SEMALINK_DATABASE_URL": database_url,
            "SEMALINK_NATS_URL": nats_url,
            "SEMALINK_NATS_BYTES_DIVISOR": "64",
            "SEMALINK_KEY_PEPPER": "a-pepper-of-at-least-thirty-two-characters",
            "SEMALINK_LEDGER_SIGNING_KEY": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        }
    )


def _age_seconds(core: Core) -> float:
    age = core.metrics.registry.get_sample_value(AGE)
    assert age is not None
    return age


async def test_outbox_age_grows_behind_a_transaction_that_stays_open_and_nothing_is_lost(
    desk: Any, database_url: str, nats_url: str
) -> None:
    stop = asyncio.Event()
    account_id = await desk.open_account(message_count=2)
    async with (
        open_core(_settings(database_url, nats_url), "relay") as core,
        await psycopg.AsyncConnection.connect(database_url) as dawdler,
    ):
        relaying = asyncio.create_task(run_relay(core, stop))
        assert await core.connection.wait_ready(10)

        async def holds(count: int) -> bool:
            state = (await core.connection.js.stream_info(SMS_NORMAL.stream)).state
            return state.last_seq == count

        async def is_aged() -> bool:
            return _age_seconds(core) > 0.5

        async def is_level() -> bool:
            return _age_seconds(core) == 0

        await desk.accept(account_id)
        await until(lambda: holds(1), "the first is published", within_seconds=10)
        # It writes, and says neither yes nor no.
        await dawdler.execute("SELECT pg_current_xact_id()")
        await desk.accept(account_id)

        await until(is_aged, "the age of what waits is told", within_seconds=10)
        assert await holds(1)
        await dawdler.rollback()
        await until(lambda: holds(2), "the second is published", within_seconds=10)
        await until(is_level, "nothing waits any more", within_seconds=10)
        stop.set()
        await relaying
