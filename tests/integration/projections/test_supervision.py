"""A read model that fails stops at its event, says so, and stops nobody else."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, text
from tests.integration.projections.worlds import MessageWorld, record

from semalink.projections.projection import Projection, Recorded, Target
from semalink.projections.standing import Standing, standings
from semalink_ops.observability.metrics import Metrics
from semalink_ops.projecting import open_engine, project
from semalink_ops.runtime import wait_for_stop

SECONDS_MAX = 20.0


def _counting(name: str, poison: Any) -> Projection:
    """Count events in a table, and fail at one."""

    def store(events: Sequence[Recorded], tx: Connection, _: Target) -> None:
        for recorded in events:
            if (recorded.originator_id, recorded.version) == poison:
                raise ArithmeticError(str(recorded.event))
            tx.execute(text(f"INSERT INTO {name} VALUES (1)"))

    return Projection(name, "message_events", (), store)


async def test_projector_stops_a_poisoned_projection_alone(
    engine: Engine, database_url: str
) -> None:
    log = MessageWorld(random.Random(3), 10, 40).log
    record(database_url, "message_events", log)
    with engine.begin() as tx:
        for name in ("sound", "sick"):
            tx.execute(text(f"CREATE TABLE {name} (number int)"))
    bad = log[13]
    sick = _counting("sick", (bad.originator_id, bad.originator_version))
    both = (sick, _counting("sound", None))
    metrics, stop = Metrics(), asyncio.Event()
    projector = open_engine(database_url)

    def standing() -> dict[str, Standing]:
        with engine.connect() as tx:
            return {one.name: one for one in standings(tx, both)}

    running = asyncio.create_task(project(projector, metrics, asyncio.Event(), stop, both))
    async with asyncio.timeout(SECONDS_MAX):
        while standing()["sick"].state != "failing" or standing()["sound"].lag_events:
            await wait_for_stop(stop, 0.05)
    stop.set()
    await running
    projector.dispose()

    found = standing()
    assert found["sound"].state == "live"
    assert found["sick"].lag_events == len(log) - 13
    assert found["sick"].cause == (
        f"ArithmeticError at {bad.TOPIC} {bad.originator_id} version {bad.originator_version}"
    )
    failing = metrics.registry.get_sample_value
    assert failing("semalink_projection_failing", {"projection": "sick"}) == 1
    assert failing("semalink_projection_failing", {"projection": "sound"}) == 0


async def test_projector_forgets_a_failure_that_was_mended(
    engine: Engine, database_url: str
) -> None:
    log = MessageWorld(random.Random(3), 2, 4).log
    record(database_url, "message_events", log)
    with engine.begin() as tx:
        tx.execute(text("CREATE TABLE sound (number int)"))
        tx.execute(
            text(
                "INSERT INTO projection_failures (projection, error, attempt_count)"
                " VALUES ('sound', 'ArithmeticError', 3)"
            )
        )
    sound, stop = _counting("sound", None), asyncio.Event()
    projector = open_engine(database_url)

    running = asyncio.create_task(project(projector, Metrics(), asyncio.Event(), stop, (sound,)))
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            with engine.connect() as tx:
                [found] = standings(tx, (sound,))
            if found.state == "live":
                break
            await wait_for_stop(stop, 0.05)
    stop.set()
    await running
    projector.dispose()

    assert found.cause is None
