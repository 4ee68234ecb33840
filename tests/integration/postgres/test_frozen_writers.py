import asyncio
from typing import Any

import psycopg
import pytest
from tenacity import AsyncRetrying, retry_if_result, stop_after_delay, wait_fixed

from semalink_adapters.postgres import writer_connection
from semalink_adapters.postgres.batch import LOCK_ACCOUNTS, lock_key_of
from semalink_adapters.postgres.writer_connection import WriterConnection

HOLDS_LOCK = "SELECT count(*) FROM pg_locks WHERE pid = %s AND locktype = 'advisory' AND granted"


async def _holds_lock(database_url: str, backend_pid: int) -> bool:
    async with await psycopg.AsyncConnection.connect(database_url) as observer:
        cursor = await observer.execute(HOLDS_LOCK, (backend_pid,))
        return await cursor.fetchone() == (1,)


async def test_execute_goes_on_when_another_writer_froze_in_the_middle_of_a_pipeline(
    database_url: str, desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_connection, "TRANSACTION_SECONDS_MAX", 2)
    account_id = await desk.open_account(message_count=1)
    frozen = WriterConnection(database_url, "frozen")
    connection = frozen.open()
    with pytest.raises(psycopg.OperationalError), connection.pipeline():  # noqa: PT012 - ends badly
        connection.execute("BEGIN")
        connection.execute(LOCK_ACCOUNTS, ([lock_key_of(account_id)],))
        # What was asked is on its way, and the end of the pipeline is not: such a session is not
        # idle for the server.
        connection.pgconn.send_flush_request()
        connection.pgconn.flush()
        await AsyncRetrying(
            retry=retry_if_result(lambda holds: not holds),
            wait=wait_fixed(0.01),
            stop=stop_after_delay(1.5),
        )(_holds_lock, database_url, connection.info.backend_pid)
        async with asyncio.timeout(10):
            answer = await desk.accept(account_id)

    assert answer.value.status == "accepted"
    frozen.close()
