import asyncio
from typing import Any

import psycopg
import pytest

from semalink_adapters.postgres import writer_connection
from semalink_adapters.postgres.batch import LOCK_ACCOUNTS, lock_key_of
from semalink_adapters.postgres.writer_connection import WriterConnection


async def test_execute_goes_on_when_another_writer_froze_in_the_middle_of_a_pipeline(
    database_url: str, desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_connection, "TRANSACTION_SECONDS_MAX", 1)
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
        async with asyncio.timeout(10):
            answer = await desk.accept(account_id)

    assert answer.value.status == "accepted"
    frozen.close()
