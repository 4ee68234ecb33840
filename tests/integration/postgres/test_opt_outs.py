"""Opt-outs in PostgreSQL: whose a sender id is, what a history shows, two that record at once."""

import asyncio
from typing import Any

from psycopg_pool import AsyncConnectionPool

from semalink.application.history import REDACTED, HistoryFilter
from semalink.application.opt_outs import LiftOptOut, RecordOptOuts
from semalink.application.sender_ids import ApproveSender
from semalink.domain.opt_out import OptOutSource, OptOutSubject
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.history import PostgresHistory
from semalink_adapters.postgres.opt_outs import PostgresOptOuts
from semalink_adapters.postgres.reports import PostgresReports

NUMBER = "+254712345678"


async def test_owners_of_sender_returns_who_may_send_under_it(
    desk: Any, pool: AsyncConnectionPool[Any]
) -> None:
    reports = PostgresReports(pool)
    owner = await desk.open_account()
    others = [await desk.open_account() for _ in range(2)]
    await desk.ledger.execute(ApproveSender(owner, "DUKA", desk.cause()))
    for account_id in (owner, *others):
        await desk.ledger.execute(ApproveSender(account_id, "SHARED", desk.cause()))

    assert await reports.owners_of_sender("Duka") == [owner]
    assert len(await reports.owners_of_sender("SHARED")) == 2
    assert await reports.owners_of_sender("NOBODYS") == []


async def test_history_of_an_account_shows_its_opt_outs_without_numbers(
    desk: Any, pool: AsyncConnectionPool[Any]
) -> None:
    account_id = await desk.open_account()
    subject = OptOutSubject(account_id, "DUKA", NUMBER)
    record = RecordOptOuts((subject,), OptOutSource.API, "by phone", desk.cause())
    await desk.ledger.execute(record)
    lift = LiftOptOut(subject.opt_out_id, account_id, "a mistake", None, desk.cause())
    await desk.ledger.execute(lift)

    asked = HistoryFilter(account_id=account_id, name="opt_out")
    page = await PostgresHistory(pool).page(asked, None, 10)

    lifted, recorded = page.rows
    assert (recorded.name, lifted.name) == ("opt_out.recorded", "opt_out.lifted")
    assert lifted.reason == "a mistake"
    assert recorded.facts["recipient"] == REDACTED
    assert recorded.facts["source"] == "api"


async def test_record_opt_outs_records_one_when_two_processes_hear_of_it_at_once(
    database_url: str, desk: Any, pool: AsyncConnectionPool[Any]
) -> None:
    account_id = await desk.open_account()
    subject = OptOutSubject(account_id, "", NUMBER)

    async with GroupCommit(database_url) as one, GroupCommit(database_url) as another:
        commands = [
            RecordOptOuts((subject,), OptOutSource.CALLBACK, "STOP", desk.cause())
            for _ in range(20)
        ]
        answers = await asyncio.gather(
            *((one, another)[turn % 2].execute(command) for turn, command in enumerate(commands))
        )

    assert sum(answer.value[0].is_new for answer in answers) == 1
    view = await PostgresOptOuts(pool).opt_out(subject.opt_out_id, account_id)
    assert view is not None
    assert view.active
