"""Several writers of one account: money is exact, entries are chained, nobody overdraws."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from semalink.application.ledger import Answer
from semalink.domain.errors import InsufficientCredits
from semalink_adapters.postgres.batch import lock_key_of
from semalink_adapters.postgres.group_commit import GroupCommit

SCRIPT = Path(__file__).with_name("writer_process.py")
PROCESS_COUNT = 3


@contextmanager
def _process(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(SCRIPT), *(str(argument) for argument in arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process


def _accept_in_processes(
    database_url: str, account_id: UUID, *, price_micros: int, count: int
) -> Sequence[dict[str, Any]]:
    """Let several processes accept messages at the same moment."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(_process(database_url, account_id, price_micros, count))
            for _ in range(PROCESS_COUNT)
        ]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        return [json.loads(process.communicate(timeout=60)[0]) for process in processes]


async def test_accept_keeps_one_account_exact_when_processes_compete(
    desk: Any, books: Any, database_url: str, price_micros: int
) -> None:
    account_id = await desk.open_account(message_count=100)

    results = await asyncio.to_thread(
        _accept_in_processes, database_url, account_id, price_micros=price_micros, count=60
    )

    accepted = [message_id for result in results for message_id in result["accepted"]]
    assert [result["failed"] for result in results] == [[]] * PROCESS_COUNT
    assert len(set(accepted)) == len(accepted) == 100
    assert sum(len(result["refused"]) for result in results) == 80
    assert books.head(account_id)[1:3] == (100 * price_micros, 100 * price_micros)
    assert books.one("SELECT count(*) FROM pending_submissions") == 100
    books.assert_sound(account_id)


async def test_accept_stops_at_the_last_credit_when_many_ask_at_once(
    desk: Any, books: Any, ledger: GroupCommit
) -> None:
    account_id = await desk.open_account(message_count=100)
    numbers = iter(range(320))

    async def caller() -> list[object]:
        outcomes: list[object] = []
        for _ in numbers:
            try:
                outcomes.append(await ledger.execute(desk.accepting(account_id)))
            except InsufficientCredits as refusal:
                outcomes.append(refusal)
        return outcomes

    outcomes = [
        outcome for done in await asyncio.gather(*(caller() for _ in range(64))) for outcome in done
    ]

    assert sum(isinstance(outcome, Answer) for outcome in outcomes) == 100
    assert sum(isinstance(outcome, InsufficientCredits) for outcome in outcomes) == 220
    assert books.replay(account_id).available_micros == 0
    books.assert_sound(account_id)


async def test_writers_of_several_accounts_never_wait_in_a_circle(
    desk: Any, books: Any, database_url: str
) -> None:
    account_ids = [await desk.open_account(message_count=200) for _ in range(4)]

    async with GroupCommit(database_url) as other:
        await asyncio.gather(
            *(
                writer.execute(desk.accepting(account_id))
                for _ in range(30)
                for writer, order in ((desk.ledger, account_ids), (other, account_ids[::-1]))
                for account_id in order
            )
        )

    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert books.one(deadlocks) == 0
    for account_id in account_ids:
        assert books.head(account_id)[0] == 2 + 60
        books.assert_sound(account_id)


async def test_event_that_builds_on_another_carries_a_later_transaction(
    desk: Any, books: Any, connection: psycopg.Connection[Any], database_url: str
) -> None:
    account_id = await desk.open_account(message_count=1)
    job = await desk.accept_job(account_id)
    connection.execute("BEGIN")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_key_of(account_id),))
    receipt = asyncio.ensure_future(desk.take_receipt(job, "ref-1"))
    async with asyncio.timeout(10):
        while not await asyncio.to_thread(
            books.one, "SELECT count(*) FROM pg_locks WHERE NOT granted"
        ):
            pass

    # Begun later than the receipt and committed before it: readers must meet it first as well.
    async with GroupCommit(database_url) as other:
        await type(desk)(other).start(job)
    connection.execute("COMMIT")
    await receipt

    assert books.all("SELECT topic FROM message_events ORDER BY xid, notification_id") == [
        ("message.accepted.1",),
        ("message.submit_started.1",),
        ("message.submitted.1",),
    ]


@pytest.mark.parametrize("column", ["posted_micros", "reserved_micros"])
async def test_head_refuses_to_be_overdrawn_when_it_is_written_past_the_code(
    desk: Any, connection: psycopg.Connection[Any], column: str
) -> None:
    account_id = await desk.open_account(message_count=1)

    with pytest.raises(psycopg.errors.CheckViolation, match="never_"):
        connection.execute(
            f"UPDATE credit_heads SET {column} = -1 WHERE account_id = %s", (account_id,)
        )


async def test_head_refuses_more_reserved_than_there_is(
    desk: Any, connection: psycopg.Connection[Any], price_micros: int
) -> None:
    account_id = await desk.open_account(message_count=1)

    with pytest.raises(psycopg.errors.CheckViolation, match="never_overdrawn"):
        connection.execute(
            "UPDATE credit_heads SET reserved_micros = %s WHERE account_id = %s",
            (price_micros + 1, account_id),
        )
