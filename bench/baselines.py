"""The designs that SemaLink is measured against, each a route of one Litestar process.

``noop`` answers at once. ``atomic`` is the usual advice: one transaction a request that updates
the balance where it suffices, and inserts the message and the entry. ``cte`` is the same as one
statement, behind a pool of two connections, which keeps contention on the hot row low.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import uvicorn
from litestar import Litestar, post
from litestar.datastructures import State
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

DATABASE_URL = "SEMALINK_BENCH_DATABASE_URL"
PORT = "SEMALINK_BENCH_PORT"

ACCOUNT = 1
PRICE_MICROS = 800_000

SCHEMA = """
CREATE TABLE bench_credits (account_id int PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE bench_messages (
    message_id uuid PRIMARY KEY, account_id int NOT NULL, recipient text NOT NULL,
    body text NOT NULL, sender text NOT NULL, created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE bench_entries (
    entry_id bigserial PRIMARY KEY, account_id int NOT NULL, message_id uuid NOT NULL,
    amount bigint NOT NULL, balance_after bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO bench_credits VALUES (1, 9000000000000000);
"""

DEDUCT = """
UPDATE bench_credits SET balance = balance - %s
WHERE account_id = %s AND balance >= %s RETURNING balance"""

INSERT_MESSAGE = """
INSERT INTO bench_messages (message_id, account_id, recipient, body, sender)
VALUES (%s, %s, %s, %s, %s)"""

INSERT_ENTRY = """
INSERT INTO bench_entries (account_id, message_id, amount, balance_after)
VALUES (%s, %s, %s, %s)"""

ONE_STATEMENT = """
WITH deducted AS (
    UPDATE bench_credits SET balance = balance - %(price)s
    WHERE account_id = %(account)s AND balance >= %(price)s RETURNING balance
), message AS (
    INSERT INTO bench_messages (message_id, account_id, recipient, body, sender)
    SELECT %(id)s, %(account)s, %(to)s, %(text)s, %(sender)s FROM deducted
)
INSERT INTO bench_entries (account_id, message_id, amount, balance_after)
SELECT %(account)s, %(id)s, %(price)s, balance FROM deducted RETURNING balance_after"""


class Send(msgspec.Struct):
    """The body that every design is sent."""

    to: str
    text: str
    sender: str


@post("/noop", status_code=202, sync_to_thread=False)
def noop(data: Send) -> dict[str, str]:
    """Answer at once."""
    return {"id": data.sender, "status": "accepted"}


@post("/atomic", status_code=202)
async def atomic(data: Send, state: State) -> dict[str, str]:
    """Deduct, then insert twice, in one transaction."""
    message_id = uuid7()
    async with state.many.connection() as connection, connection.transaction():
        cursor = await connection.execute(DEDUCT, (PRICE_MICROS, ACCOUNT, PRICE_MICROS))
        row = await cursor.fetchone()
        if row is None:
            return {"id": "", "status": "refused"}
        await connection.execute(
            INSERT_MESSAGE, (message_id, ACCOUNT, data.to, data.text, data.sender)
        )
        await connection.execute(INSERT_ENTRY, (ACCOUNT, message_id, PRICE_MICROS, row[0]))
    return {"id": message_id.hex, "status": "accepted"}


@post("/cte", status_code=202)
async def cte(data: Send, state: State) -> dict[str, str]:
    """Do all of it in one statement."""
    message_id = uuid7()
    parameters = {
        "price": PRICE_MICROS,
        "account": ACCOUNT,
        "id": message_id,
        "to": data.to,
        "text": data.text,
        "sender": data.sender,
    }
    async with state.few.connection() as connection:
        cursor = await connection.execute(ONE_STATEMENT, parameters, prepare=True)
        row = await cursor.fetchone()
    return {"id": message_id.hex, "status": "accepted" if row else "refused"}


@asynccontextmanager
async def _pools(app: Litestar) -> AsyncIterator[None]:
    database_url = os.environ[DATABASE_URL]
    options: dict[str, Any] = {"kwargs": {"autocommit": True}, "open": False}
    async with (
        AsyncConnectionPool(database_url, min_size=64, max_size=64, **options) as many,
        AsyncConnectionPool(database_url, min_size=2, max_size=2, **options) as few,
    ):
        app.state.many = many
        app.state.few = few
        yield


def main() -> None:
    """Serve the baselines in this process."""
    app = Litestar([noop, atomic, cte], lifespan=[_pools], openapi_config=None)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ[PORT]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        backlog=2_048,
    )


if __name__ == "__main__":
    main()
