"""The ledger and the reads, for commands that work directly on the database."""

import asyncio
import os
import pwd
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from semalink.domain.cause import Cause
from semalink.domain.ids import ACCOUNT_PREFIX, REQUEST_PREFIX, parse_id
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.history import PostgresHistory
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.reads import PostgresReads
from semalink_ops.archiving.reading import archived_events
from semalink_ops.cli import exit_codes
from semalink_ops.cli.failures import fail
from semalink_ops.cli.quiet import silence_logs
from semalink_ops.cli.settings_source import read_settings
from semalink_ops.runtime import new_request_id, utc_now
from semalink_ops.settings import Settings

T = TypeVar("T")

_APPLICATION_NAME = "semalink-cli"


@dataclass(frozen=True, slots=True)
class Database:
    """What a command reads from and writes to."""

    settings: Settings
    reads: PostgresReads
    history: PostgresHistory
    ledger: GroupCommit
    pool: AsyncConnectionPool[Any]

    def cause(self) -> Cause:
        """Return what the events of this command record: whoever is at the terminal, now."""
        return cause_of_terminal()

    async def account_id(self, text: str) -> UUID:
        """Return the id of an account that exists."""
        account_id = parse_id(ACCOUNT_PREFIX, text)
        if account_id is None or await self.reads.account(account_id) is None:
            fail(
                f"There is no account {text}. `semalink account list` shows all.",
                exit_codes.NOT_FOUND,
            )
        return account_id


def cause_of_terminal() -> Cause:
    """Return whoever is at the terminal, now."""
    return Cause(f"cli:{_os_user()}", utc_now(), new_request_id(REQUEST_PREFIX))


def run_on_database(data_dir: Path, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do the work with the database open, and return what it returns."""

    async def opened() -> T:
        async with open_database(read_settings(data_dir)) as database:
            return await work(database)

    return asyncio.run(opened())


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Open the ledger and the reads; nothing of what they do is logged."""
    silence_logs()
    url = settings.database_url.reveal()
    pool = open_pool(url, size=1)
    await pool.open(wait=False)
    try:
        async with GroupCommit(url, application_name=_APPLICATION_NAME) as ledger:
            archived = archived_events(settings, pool)
            reads = PostgresReads(pool, archived=archived)
            history = PostgresHistory(pool, archived=archived)
            yield Database(settings, reads, history, ledger, pool)
    finally:
        await pool.close()


def _os_user() -> str:
    # Not by LOGNAME, which anyone may set: two people answer for an adjustment.
    user_id = os.getuid()
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        # A container may run under a number that has no name.
        return f"uid-{user_id}"
