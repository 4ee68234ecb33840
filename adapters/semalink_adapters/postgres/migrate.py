"""Brings a database to the schema of this release."""

from datetime import UTC, datetime
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from semalink_adapters.postgres import append_only, partitions

_LOCK = 7_230_002


def sqlalchemy_url(database_url: str) -> str:
    """Return the URL that makes SQLAlchemy use psycopg 3."""
    scheme, _, rest = database_url.partition("://")
    return f"postgresql+psycopg://{rest}" if scheme.startswith("postgres") else database_url


def upgrade(database_url: str) -> None:
    """Apply the missing migrations, make partitions and guard the logs; two at once do no harm."""
    engine = create_engine(sqlalchemy_url(database_url))
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
            connection.commit()
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    finally:
        engine.dispose()
    with psycopg.connect(database_url, autocommit=True) as connection:
        partitions.ensure(connection, datetime.now(UTC))
        append_only.protect(connection)


def current_and_head(database_url: str) -> tuple[str | None, str | None]:
    """Return the revision of the database and that of this release."""
    engine = create_engine(sqlalchemy_url(database_url))
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    return current, ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
