"""An engine on a fresh database."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, NullPool, create_engine

from semalink_adapters.postgres.migrate import sqlalchemy_url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine as the command line opens one."""
    engine = create_engine(sqlalchemy_url(database_url), poolclass=NullPool)
    yield engine
    engine.dispose()
