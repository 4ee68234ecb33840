"""A rebuild makes what a replay makes, while all goes on, and can be stopped at any line."""

import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text
from tests.integration.projections.worlds import LedgerWorld, MessageWorld, record

from semalink.application.message_view import view_of
from semalink.projections import shadow
from semalink.projections.comparing import LiveStandsStill
from semalink.projections.messages import MESSAGE_COLUMNS, MESSAGES, view_from_row
from semalink.projections.projection import Projection
from semalink.projections.rebuilding import Rebuild, RebuildUnderWay, open_rebuild
from semalink.projections.registry import PROJECTIONS
from semalink.projections.runner import ProjectionRunner
from semalink.projections.shadow import Pace
from semalink.projections.verifying import NoSample, verify
from semalink_adapters.postgres.mapper import EventMapper
from semalink_ops.cli import exit_codes, run


def _world(seed: int = 17, message_count: int = 60, step_count: int = 600) -> MessageWorld:
    return MessageWorld(random.Random(seed), message_count, step_count)


def _catch_up(engine: Engine, projection: Projection) -> None:
    runner = ProjectionRunner(engine, projection, EventMapper.read)
    with engine.connect() as tx:
        total = tx.execute(text(f"SELECT count(*) FROM {projection.log}")).scalar_one()
    seen = 0
    while seen < total:
        seen += runner.step().event_count


def _rebuild(engine: Engine, projection: Projection, work: Callable[[Rebuild], None]) -> None:
    with open_rebuild(engine, projection, EventMapper.read, Pace()) as opened:
        assert opened is not None
        work(opened)


def _to_the_end(opened: Rebuild) -> None:
    opened.shadow.load()
    opened.shadow.follow()
    assert opened.compare().difference_count == 0
    opened.swap()


def _listed(engine: Engine) -> dict[str, Any]:
    with engine.connect() as tx:
        rows = tx.execute(text(f"SELECT {MESSAGE_COLUMNS} FROM messages")).all()
    return {view.id: view for view in map(view_from_row, rows)}


def _replayed(log: list[Any]) -> dict[str, Any]:
    replayed: dict[Any, Any] = {}
    for event in log:
        replayed[event.originator_id] = event.mutate(replayed.get(event.originator_id))
    return {view.id: view for view in map(view_of, replayed.values())}


def _shape(engine: Engine, table: str) -> tuple[Any, ...]:
    """Return the columns, indexes and keys of a table."""
    with engine.connect() as tx:
        columns = tx.execute(
            text(
                "SELECT column_name, data_type, is_nullable, column_default"
                " FROM information_schema.columns WHERE table_name = :table ORDER BY 1"
            ),
            {"table": table},
        ).all()
        indexes = tx.execute(
            text("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = :t ORDER BY 1"),
            {"t": table},
        ).all()
        constraints = tx.execute(
            text(
                "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
                " WHERE conrelid = to_regclass(:table) ORDER BY 1"
            ),
            {"table": table},
        ).all()
        options = tx.execute(
            text("SELECT reloptions FROM pg_class WHERE relname = :table"), {"table": table}
        ).all()
        rights = tx.execute(
            text(
                "SELECT grantee, privilege_type FROM pg_class, aclexplode(relacl)"
                " WHERE oid = to_regclass(:table) ORDER BY 1, 2"
            ),
            {"table": table},
        ).all()
    return columns, indexes, constraints, options, rights


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda one: one.name)
def test_rebuild_leaves_tables_as_the_migrations_make_them(
    engine: Engine, database_url: str, projection: Projection
) -> None:
    before = [_shape(engine, table.name) for table in projection.tables]
    record(database_url, "message_events", _world(message_count=3, step_count=9).log)

    _catch_up(engine, projection)
    _rebuild(engine, projection, _to_the_end)

    assert [_shape(engine, table.name) for table in projection.tables] == before


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda one: one.name)
def test_rebuild_equals_what_was_fed_page_by_page(
    engine: Engine, database_url: str, projection: Projection
) -> None:
    record(database_url, "message_events", _world().log)
    record(database_url, "ledger_entries", LedgerWorld(random.Random(5), 4, 300).log)
    _catch_up(engine, projection)

    _rebuild(engine, projection, _to_the_end)

    assert verify(engine, projection, EventMapper.read, Pace()).difference_count == 0


def test_rebuild_equals_replay_while_writes_and_the_runner_go_on(
    engine: Engine, database_url: str
) -> None:
    first, second = _world(seed=1), _world(seed=2)
    record(database_url, "message_events", first.log)
    _catch_up(engine, MESSAGES)
    runner = ProjectionRunner(engine, MESSAGES, EventMapper.read)
    is_done = threading.Event()

    def keep_projecting() -> None:
        while not is_done.is_set():
            runner.step()

    writing = threading.Thread(target=record, args=(database_url, "message_events", second.log))
    projecting = threading.Thread(target=keep_projecting)
    writing.start()
    projecting.start()
    _rebuild(engine, MESSAGES, _to_the_end)
    writing.join()
    is_done.set()
    projecting.join()

    while runner.step().event_count:
        pass
    assert verify(engine, MESSAGES, EventMapper.read, Pace()).difference_count == 0
    assert _listed(engine) == _replayed(first.log + second.log)


def test_rebuild_shows_readers_every_row_at_any_time(engine: Engine, database_url: str) -> None:
    record(database_url, "message_events", _world().log)
    _catch_up(engine, MESSAGES)
    query = f"SELECT {MESSAGE_COLUMNS} FROM messages ORDER BY message_id"
    with psycopg.connect(database_url, autocommit=True) as connection:
        expected = connection.execute(query).fetchall()
    is_done = threading.Event()
    wrong: list[Any] = []
    read = []

    def keep_reading() -> None:
        with psycopg.connect(database_url, autocommit=True, prepare_threshold=1) as connection:
            while not is_done.is_set():
                rows = connection.execute(query).fetchall()
                read.append(len(rows))
                if rows != expected:
                    wrong.append(rows)

    readers = [threading.Thread(target=keep_reading) for _ in range(3)]
    for reader in readers:
        reader.start()
    for _ in range(3):
        _rebuild(engine, MESSAGES, _to_the_end)
    is_done.set()
    for reader in readers:
        reader.join()

    assert not wrong
    assert len(read) > len(readers)


def _load_and_die(database_url: str) -> None:
    from sqlalchemy import NullPool, create_engine  # noqa: PLC0415 - in a process of its own

    from semalink_adapters.postgres.migrate import sqlalchemy_url  # noqa: PLC0415

    engine = create_engine(sqlalchemy_url(database_url), poolclass=NullPool)

    def tell(progress: shadow.Progress) -> None:
        if progress.event_count:
            os.kill(os.getpid(), signal.SIGKILL)

    with open_rebuild(engine, MESSAGES, EventMapper.read, Pace(rate=40, tell=tell)) as opened:
        assert opened is not None
        opened.shadow.load()


def test_rebuild_goes_on_where_a_killed_one_stopped(engine: Engine, database_url: str) -> None:
    world = _world()
    record(database_url, "message_events", world.log)
    _catch_up(engine, MESSAGES)
    child = multiprocessing.get_context("spawn").Process(target=_load_and_die, args=(database_url,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    resumed = []

    def go_on(opened: Rebuild) -> None:
        resumed.append((opened.is_resumed, opened.shadow.progress.event_count))
        _to_the_end(opened)

    _rebuild(engine, MESSAGES, go_on)

    [(is_resumed, loaded)] = resumed
    assert is_resumed
    assert 0 < loaded < len(world.log)
    assert _listed(engine) == _replayed(world.log)


def test_cancel_drops_what_was_built_and_leaves_the_live_one(
    engine: Engine, database_url: str
) -> None:
    record(database_url, "message_events", _world().log)
    _catch_up(engine, MESSAGES)
    before = _listed(engine)
    _rebuild(engine, MESSAGES, lambda opened: opened.shadow.load())

    with open_rebuild(engine, MESSAGES, EventMapper.read, Pace(), is_new_allowed=False) as opened:
        assert opened is not None
        opened.cancel()

    with engine.connect() as tx:
        left = tx.execute(text("SELECT to_regclass('messages_v2')")).scalar_one()
    assert left is None
    assert _listed(engine) == before
    with open_rebuild(engine, MESSAGES, EventMapper.read, Pace(), is_new_allowed=False) as none:
        assert none is None


def test_rebuild_refuses_a_second_one_at_once(engine: Engine) -> None:
    def begin_again(_: Rebuild) -> None:
        with pytest.raises(RebuildUnderWay):
            _rebuild(engine, MESSAGES, lambda _: None)

    _rebuild(engine, MESSAGES, begin_again)


def test_compare_names_rows_that_are_not_as_a_replay_makes_them(
    engine: Engine, database_url: str
) -> None:
    record(database_url, "message_events", _world().log)
    _catch_up(engine, MESSAGES)
    with engine.begin() as tx:
        ids = tx.execute(text("SELECT message_id FROM messages ORDER BY 1 LIMIT 2")).scalars().all()
        tx.execute(text("UPDATE messages SET sender = 'X' WHERE message_id = :id"), {"id": ids[0]})
        tx.execute(text("DELETE FROM messages WHERE message_id = :id"), {"id": ids[1]})

    found = verify(engine, MESSAGES, EventMapper.read, Pace())
    sampled = verify(engine, MESSAGES, EventMapper.read, Pace(), sample_size=60)

    assert found == sampled
    assert [(one.key, one.fault) for one in found.named] == [
        (str(ids[0]), "different"),
        (str(ids[1]), "missing"),
    ]


def test_rebuild_mends_a_live_one_that_stands_still(engine: Engine, database_url: str) -> None:
    world = _world()
    record(database_url, "message_events", world.log)
    _catch_up(engine, MESSAGES)
    with engine.begin() as tx:
        tx.execute(text("UPDATE cursors SET xid = '0', position = 0 WHERE name = 'messages'"))
        tx.execute(text("ALTER TABLE messages ADD CHECK (message_id IS NULL) NOT VALID"))

    def swap_uncompared(opened: Rebuild) -> None:
        opened.shadow.load()
        with pytest.raises(LiveStandsStill):
            opened.compare()
        opened.swap()

    _rebuild(engine, MESSAGES, swap_uncompared)

    assert _listed(engine) == _replayed(world.log)


def test_verify_refuses_a_sample_where_rows_have_many_streams(engine: Engine) -> None:
    [usage] = [one for one in PROJECTIONS if one.name == "usage"]

    with pytest.raises(NoSample):
        verify(engine, usage, EventMapper.read, Pace(), sample_size=3)


@pytest.fixture
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the command line."""
    monkeypatch.setenv("SEMALINK_DATABASE_URL", database_url)
    monkeypatch.setenv("SEMALINK_NATS_URL", "nats://127.0.0.1:4222")
    monkeypatch.setenv("SEMALINK_KEY_PEPPER", "a-pepper-that-guards-nothing-at-all")


@pytest.mark.usefixtures("settings")
def test_projections_commands_end_as_they_found_it(
    engine: Engine, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record(database_url, "message_events", _world(message_count=5, step_count=20).log)
    _catch_up(engine, MESSAGES)

    assert run(["projections", "list"]) == exit_codes.OK
    assert run(["projections", "verify", "messages"]) == exit_codes.OK
    with engine.begin() as tx:
        tx.execute(text("UPDATE messages SET sender = 'X'"))
    assert run(["projections", "verify", "messages", "--json"]) == exit_codes.DIFFERENCES
    assert run(["projections", "rebuild", "messages", "--yes"]) == exit_codes.DIFFERENCES
    assert (
        run(["projections", "rebuild", "messages", "--yes", "--accept-differences"])
        == exit_codes.OK
    )
    assert run(["projections", "verify", "messages"]) == exit_codes.OK
    assert run(["projections", "rebuild", "messages", "--cancel"]) == exit_codes.NOT_FOUND
    assert "messages" in capsys.readouterr().out
