"""Real servers for the session, a fresh database and an empty broker for each test."""

import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import nats
import psycopg
import pytest
import structlog
from psycopg import sql

from semalink_ops.embedded.nats import EmbeddedNats
from semalink_ops.embedded.ports import free_port
from semalink_ops.embedded.postgres import EmbeddedPostgres

_SEED_BITS = 64

#: A disk in memory, with room for the databases of several workers.
_MEMORY_DISK = Path("/dev/shm")
_MEMORY_DISK_BYTES_MIN = 4 * 2**30

hypothesis.settings.register_profile("semalink", deadline=None, print_blob=True)
hypothesis.settings.load_profile("semalink")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed ourselves, so that it can be shown when anything fails."""
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(random.getrandbits(_SEED_BITS))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.parent.name
        if folder in {"chaos", "e2e"}:
            # Those of a folder share a platform; the two folders may run side by side.
            item.add_marker(pytest.mark.xdist_group(folder))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say after a failure how to run the same examples again."""
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        seed = config.option.hypothesis_seed
        terminalreporter.write_line(f"The same examples again: --hypothesis-seed={seed}")


@pytest.fixture(autouse=True)
def _structlog_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take back what a test configures: loggers that remember it would take it to other tests."""
    configure = structlog.configure

    def configure_for_now(**settings: Any) -> None:
        configure(**{**settings, "cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", configure_for_now)
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """One server for the session, as durable as in production; its databases are the tests'.

    It asks its disk for the same as in production. That disk is in memory where there is room: a
    database is some hundred files, and making them took half of the suite's time. No test pulls
    the plug; those that kill a server run one of their own, on disk.
    """
    with _server_folder(_fastest_disk()) as folder, EmbeddedPostgres(folder, free_port()) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres) -> str:
    """The name of a database that was migrated once and is copied for each test."""
    # Imported here: tests without a database need not wait for it.
    from semalink_adapters.postgres.migrate import upgrade  # noqa: PLC0415

    name = "template_migrated"
    _execute(postgres_server, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    upgrade(postgres_server.dsn_of(name))
    # Autovacuum connects as well, and nobody may while it is copied.
    closed = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name))
    _execute(postgres_server, closed)
    return name


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """The address of a fresh database with all migrations applied."""
    with _database(postgres_server, migrated_template) as url:
        yield url


@pytest.fixture
def empty_database_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """The address of a fresh database with nothing in it."""
    with _database(postgres_server, "template1") as url:
        yield url


@pytest.fixture(scope="session")
def nats_server() -> Iterator[EmbeddedNats]:
    """One server for the session; its streams are the tests'."""
    with _server_folder() as folder, EmbeddedNats(folder, free_port(), free_port()) as server:
        yield server


@pytest.fixture
async def clean_nats(nats_server: EmbeddedNats) -> AsyncIterator[EmbeddedNats]:
    """The server without any stream; what the test made is deleted after it."""
    yield nats_server
    client = await nats.connect(nats_server.url)
    try:
        streams = client.jetstream()
        for stream in await streams.streams_info():
            assert stream.config.name is not None
            await streams.delete_stream(stream.config.name)
    finally:
        await client.close()


@pytest.fixture
def nats_url(clean_nats: EmbeddedNats) -> str:
    """The address of a broker without any stream."""
    return clean_nats.url


def _fastest_disk() -> Path | None:
    is_roomy = _MEMORY_DISK.is_dir() and (
        shutil.disk_usage(_MEMORY_DISK).free >= _MEMORY_DISK_BYTES_MIN
    )
    return _MEMORY_DISK if is_roomy else None


@contextmanager
def _server_folder(disk: Path | None = None) -> Iterator[Path]:
    # Not pytest's folder: that keeps the last three, and a cluster has eighty megabytes.
    with tempfile.TemporaryDirectory(prefix="semalink-", dir=disk) as folder:
        path = Path(folder)
        # The server may run as another user, and what it keeps is private by itself.
        path.chmod(0o711)
        yield path / "server"


@contextmanager
def _database(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    identifiers = {"name": sql.Identifier(name), "template": sql.Identifier(template)}
    # Copying the files also ends the log behind them, which would fill the disk.
    create = sql.SQL("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    _execute(server, create.format(**identifiers))
    yield server.dsn_of(name)
    # Forced: a test that failed may have left connections open.
    drop = sql.SQL("DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    _execute(server, drop.format(**identifiers))


def _execute(server: EmbeddedPostgres, statement: sql.Composed) -> None:
    with psycopg.connect(server.dsn_of("postgres"), autocommit=True) as connection:
        connection.execute(statement)
