"""The runner: a page and its cursor together, or neither."""

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, create_engine, text

from semalink.projections.projection import Projection, Recorded, Target
from semalink.projections.runner import Page, ProjectionRunner
from semalink_adapters.postgres.migrate import sqlalchemy_url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A fresh database."""
    engine = create_engine(sqlalchemy_url(database_url))
    with engine.begin() as tx:
        tx.execute(text("CREATE TABLE seen (number bigint)"))
    yield engine
    engine.dispose()


def _write(engine: Engine, *numbers: int) -> None:
    with engine.begin() as tx:
        for number in numbers:
            tx.execute(
                text(
                    "INSERT INTO admin_events (originator_id, originator_version, topic, state)"
                    " VALUES (gen_random_uuid(), 1, 'number', :state)"
                ),
                {"state": str(number).encode()},
            )


def _seen(engine: Engine) -> list[int]:
    with engine.begin() as tx:
        return list(tx.execute(text("SELECT number FROM seen ORDER BY number")).scalars())


def _store(events: Iterable[Recorded], tx: Connection, _: Target) -> None:
    for number in (recorded.event for recorded in events):
        tx.execute(text("INSERT INTO seen VALUES (:number)"), {"number": number})
        if number < 0:
            raise ArithmeticError(number)


def _runner(engine: Engine) -> ProjectionRunner:
    def read(topic: str, state: bytes) -> Any:
        assert topic == "number"
        return int(state)

    return ProjectionRunner(engine, Projection("seen", "admin_events", (), _store), read)


def _step(runner: ProjectionRunner) -> Page:
    """Step until there was something; others on the server may hold readers back a moment."""
    for _ in range(1_000):
        page = runner.step()
        if page.event_count:
            return page
    raise AssertionError("nothing came")


def test_step_applies_each_event_once(engine: Engine) -> None:
    runner = _runner(engine)
    _write(engine, 1, 2)
    first = _step(runner)
    _write(engine, 3)

    second = _step(runner)
    third = runner.step()

    assert (first.event_count, second.event_count, third) == (2, 1, Page(0, 0.0))
    assert 0 < second.lag_seconds < 30
    assert _seen(engine) == [1, 2, 3]


def test_step_goes_on_where_another_runner_stopped(engine: Engine) -> None:
    _write(engine, 1, 2)
    _step(_runner(engine))
    _write(engine, 3)

    _step(_runner(engine))

    assert _seen(engine) == [1, 2, 3]


def test_step_keeps_nothing_of_a_page_that_failed(engine: Engine) -> None:
    runner = _runner(engine)
    _write(engine, 1)
    _step(runner)
    _write(engine, 2, -1)

    for _ in range(2):
        with pytest.raises(ArithmeticError):
            _step(runner)

    assert _seen(engine) == [1]


def test_step_keeps_a_stream_in_order_when_its_writers_crossed(engine: Engine) -> None:
    stream = uuid4()
    with engine.begin() as tx:
        for version, xid in ((1, 11), (2, 10), (3, 12)):
            tx.execute(
                text(
                    "INSERT INTO admin_events"
                    " (originator_id, originator_version, topic, state, xid)"
                    " VALUES (:id, :version, 'number', :state, CAST(:xid AS xid8))"
                ),
                {"id": stream, "version": version, "state": b"%d" % version, "xid": str(xid)},
            )
    runner = _runner(engine)
    runner.page_size = 1

    pages = [_step(runner).event_count, _step(runner).event_count]

    assert pages == [2, 1]
    with engine.begin() as tx:
        assert list(tx.execute(text("SELECT number FROM seen")).scalars()) == [1, 2, 3]
