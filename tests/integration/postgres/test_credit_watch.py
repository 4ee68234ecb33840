from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

from semalink.application.bus import NotReady
from semalink.application.credits import SetCreditLimit
from semalink_adapters.postgres.credit_watch import PostgresCreditWatch
from semalink_adapters.postgres.queries import open_pool


async def test_due_reservations_are_those_whose_time_is_up(
    desk: Any, pool: AsyncConnectionPool[Any]
) -> None:
    account_id = await desk.open_account(message_count=3)
    now = datetime.now(UTC)
    late = await desk.accept_job(account_id, expires_at=now - timedelta(days=9))
    later = await desk.accept_job(account_id, expires_at=now - timedelta(days=8))
    await desk.accept_job(account_id)
    watch = PostgresCreditWatch(pool)

    due = await watch.due_reservations(now, 10, None)

    assert [one.reservation_id for one in due] == [late.message_id, later.message_id]
    assert {one.account_id for one in due} == {account_id}
    assert await watch.due_reservations(now, 1, None) == due[:1]
    assert await watch.due_reservations(now, 1, due[0]) == due[1:]


async def test_low_accounts_are_those_that_were_warned(
    desk: Any, pool: AsyncConnectionPool[Any]
) -> None:
    low_id, well_id = await desk.open_account(), await desk.open_account()
    for account_id in (low_id, well_id):
        await desk.ledger.execute(SetCreditLimit(account_id, 10_000_000, "c", desk.cause()))
    await desk.accept(low_id, price_micros=9_000_000)
    await desk.accept(well_id, price_micros=8_000_000)

    assert await PostgresCreditWatch(pool).low_accounts() == {low_id}


async def test_watch_is_not_ready_while_the_database_is_away() -> None:
    nowhere = f"postgresql://nobody@127.0.0.1:1/{uuid7().hex}"
    async with open_pool(nowhere, size=1) as pool:
        with pytest.raises(NotReady):
            await PostgresCreditWatch(pool).low_accounts()
