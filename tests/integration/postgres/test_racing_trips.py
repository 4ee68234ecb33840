import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from semalink.application.routes import EndProbe, TripRoute
from semalink.domain.cause import Cause
from semalink.domain.route_health import EVERY_NETWORK, Diagnosis, Figures, TripCause
from semalink_adapters.postgres.group_commit import GroupCommit

OUTAGE = Diagnosis(EVERY_NETWORK, TripCause.OUTAGE, Figures(40, 12, 12))


async def test_trip_is_one_event_however_many_workers_see_the_same(
    database_url: str, connection: psycopg.Connection[Any]
) -> None:
    def trip(worker: int) -> TripRoute:
        return TripRoute("celcom", OUTAGE, Cause("worker:sms", datetime.now(UTC), f"job_{worker}"))

    async with GroupCommit(database_url) as one, GroupCommit(database_url) as two:
        answers = await asyncio.gather(
            *(ledger.execute(trip(worker)) for worker, ledger in enumerate([one, two] * 5))
        )

    assert [answer.value for answer in answers].count(True) == 1
    topics = "SELECT topic FROM admin_events ORDER BY originator_version"
    assert [row[0] for row in connection.execute(topics)] == ["route.created.1", "route.tripped.1"]
    rows = connection.execute("SELECT network, is_open, cause FROM route_circuits").fetchall()
    assert rows == [("", True, "outage")]


async def test_end_of_another_probe_changes_nothing(
    database_url: str, connection: psycopg.Connection[Any]
) -> None:
    cause = Cause("worker:sms", datetime.now(UTC), "job_1")
    async with GroupCommit(database_url) as ledger:
        await ledger.execute(TripRoute("celcom", OUTAGE, cause))
        late = EndProbe("celcom", "", UUID(int=1), "accepted", passed=True, cause=cause)

        await ledger.execute(late)

    assert connection.execute("SELECT is_open FROM route_circuits").fetchall() == [(True,)]
