"""The embedded PostgreSQL: durable, private, restartable, and never orphaned."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from semalink_ops.embedded.data_folder import lock_folder
from semalink_ops.embedded.guarded import EmbeddedServerFailed
from semalink_ops.embedded.identity import (
    Identity,
    choose_identity,
    first_closed_folder,
    unprivileged_user,
)
from semalink_ops.embedded.ports import free_port
from semalink_ops.embedded.postgres import EmbeddedPostgres

_END_SECONDS = 30

# A process that starts a server, says so, and waits to be killed.
_OWNER = """
import sys
from pathlib import Path
from semalink_ops.embedded.postgres import EmbeddedPostgres

server = EmbeddedPostgres(Path(sys.argv[1]), int(sys.argv[2]))
server.start()
print(server.keeper_pid, flush=True)
sys.stdin.read()
"""


def _identities() -> dict[str, Identity]:
    """Every way to run it on this machine: only root can become somebody else."""
    program_is_open = first_closed_folder(Path(sys.prefix).resolve() / "lib") is None
    as_others = os.geteuid() == 0 and program_is_open
    return {"chosen": choose_identity()} | ({"nobody": unprivileged_user()} if as_others else {})


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        Path(path).chmod(0o711)
        yield Path(path)


@pytest.fixture
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(folder / "postgres", free_port()) as server:
        yield server


def _write_row(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")


def _read_row(server: EmbeddedPostgres) -> int:
    with psycopg.connect(server.dsn) as connection:
        row = connection.execute("SELECT n FROM kept").fetchone()
    assert row is not None
    return int(row[0])


def _start_owner(server: EmbeddedPostgres) -> "tuple[subprocess.Popen[str], int]":
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(server.data_dir), str(server.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert owner.stdout is not None
    return owner, int(owner.stdout.readline())


def _end_owner(owner: "subprocess.Popen[str]") -> None:
    with owner:
        owner.kill()


@pytest.mark.parametrize("identity", _identities().values(), ids=_identities())
def test_start_keeps_the_data_of_the_run_before(folder: Path, identity: Identity) -> None:
    with EmbeddedPostgres(folder / "postgres", free_port(), identity) as first:
        _write_row(first)

    with EmbeddedPostgres(folder / "postgres", free_port(), identity) as second:
        found = _read_row(second)

    assert found == 7


def test_start_takes_over_the_data_of_another_identity(folder: Path) -> None:
    identities = list(_identities().values())
    with EmbeddedPostgres(folder / "postgres", free_port(), identities[-1]) as first:
        _write_row(first)

    with EmbeddedPostgres(folder / "postgres", free_port(), identities[0]) as second:
        found = _read_row(second)

    assert found == 7


def test_restart_keeps_the_address_and_the_data(postgres: EmbeddedPostgres) -> None:
    _write_row(postgres)
    dsn = postgres.dsn

    postgres.restart()

    assert postgres.dsn == dsn
    assert _read_row(postgres) == 7


def test_start_recovers_when_the_server_was_killed(postgres: EmbeddedPostgres) -> None:
    _write_row(postgres)

    postgres.kill()
    assert not postgres.is_running
    postgres.start()

    assert _read_row(postgres) == 7


def test_start_ignores_a_pid_file_whose_number_belongs_to_another_program(
    postgres: EmbeddedPostgres,
) -> None:
    _write_row(postgres)
    postgres.kill()
    pid_path = postgres.data_dir / "cluster" / "postmaster.pid"
    _, *others = pid_path.read_text().splitlines(keepends=True)
    pid_path.write_text("".join([f"{os.getpid()}\n", *others]))

    postgres.start()

    assert _read_row(postgres) == 7


def test_start_makes_the_cluster_anew_when_the_first_start_was_interrupted(folder: Path) -> None:
    half_made = folder / "postgres" / "cluster.new"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")

    with EmbeddedPostgres(folder / "postgres", free_port()) as server:
        _write_row(server)

        assert _read_row(server) == 7


def test_start_refuses_data_of_another_version(folder: Path) -> None:
    cluster = folder / "postgres" / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("16\n")
    server = EmbeddedPostgres(folder / "postgres", free_port())

    with pytest.raises(EmbeddedServerFailed, match="of version 16"):
        server.start()

    assert not server.is_running


def test_start_refuses_a_taken_port(folder: Path, postgres: EmbeddedPostgres) -> None:
    second = EmbeddedPostgres(folder / "second", postgres.port)

    with pytest.raises(EmbeddedServerFailed, match=f"listens on port {postgres.port}"):
        second.start()

    assert postgres.is_running


def test_start_says_what_the_server_said_when_it_ends_at_once(postgres: EmbeddedPostgres) -> None:
    postgres.stop()
    (postgres.data_dir / "cluster" / "global" / "pg_control").unlink()

    with pytest.raises(EmbeddedServerFailed, match="could not find the database system"):
        postgres.start()

    assert not postgres.is_running


def test_server_asks_for_the_password(postgres_server: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres_server.dsn, password="another")

    assert (postgres_server.data_dir / "password").stat().st_mode & 0o777 == 0o600


def test_server_listens_on_loopback_and_keeps_what_it_committed(
    postgres_server: EmbeddedPostgres,
) -> None:
    names = ["listen_addresses", "fsync", "synchronous_commit", "full_page_writes"]

    with psycopg.connect(postgres_server.dsn) as connection:
        found = connection.execute(
            "SELECT setting FROM unnest(%s::text[]) WITH ORDINALITY AS asked (name, place)"
            " JOIN pg_settings USING (name) ORDER BY place",
            [names],
        ).fetchall()

    assert found == [("127.0.0.1",), ("on",), ("on",), ("on",)]


def test_log_quotes_no_value_of_a_failed_statement(postgres_server: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE people (name text PRIMARY KEY)")
        connection.execute("INSERT INTO people VALUES ('quoted-value')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO people VALUES ('quoted-value')")

    assert "quoted-value" not in postgres_server.log_path.read_text()


def test_server_ends_when_its_owner_is_killed(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "postgres", free_port())
    owner, _ = _start_owner(server)

    _end_owner(owner)

    # The lock is free once the last process of the server is gone.
    lock_folder(server.data_dir, "PostgreSQL").close()
    assert "database system is shut down" in server.log_path.read_text()


def test_server_ends_when_its_keeper_is_killed(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "postgres", free_port())
    owner, keeper_pid = _start_owner(server)

    os.kill(keeper_pid, signal.SIGKILL)

    lock_folder(server.data_dir, "PostgreSQL").close()
    _end_owner(owner)
    assert "database system is shut down" in server.log_path.read_text()


def test_server_outlives_an_interrupt_of_the_terminal(postgres: EmbeddedPostgres) -> None:
    groups = {os.getpgid(postgres.pid), os.getpgid(postgres.keeper_pid)}

    os.kill(postgres.keeper_pid, signal.SIGINT)
    os.kill(postgres.keeper_pid, signal.SIGTERM)

    assert os.getpgid(0) not in groups
    _write_row(postgres)
    assert _read_row(postgres) == 7


def test_start_of_a_second_owner_waits_for_the_server_of_a_killed_one(folder: Path) -> None:
    first = EmbeddedPostgres(folder / "postgres", free_port())
    owner, _ = _start_owner(first)
    _write_row(first)

    _end_owner(owner)
    with EmbeddedPostgres(folder / "postgres", first.port) as second:
        found = _read_row(second)

    assert found == 7


def test_open_way_names_the_folder_that_keeps_another_user_out(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    data_dir = closed / "postgres"
    data_dir.mkdir()

    with pytest.raises(EmbeddedServerFailed, match="chmod o\\+x"):
        unprivileged_user().open_way(data_dir, Path(sys.executable))
