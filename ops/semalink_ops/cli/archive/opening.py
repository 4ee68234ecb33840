"""What the commands of the archive work with."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import rich_click as click

from semalink.application.archive import ARCHIVED_LOGS, RecordArchiving, RecordRestoring
from semalink_adapters.postgres.archived_months import open_owner, take_lock
from semalink_ops.archiving.calendar import LogMonth, checked_month
from semalink_ops.archiving.months import Archiver, projections_of_messages
from semalink_ops.archiving.pace import Pace
from semalink_ops.archiving.reading import store_of
from semalink_ops.cli.database import Database, cause_of_terminal, run_on_database
from semalink_ops.cli.settings_source import read_settings

log_option = click.option(
    "--log", type=click.Choice(ARCHIVED_LOGS), help="Only this log; otherwise both."
)
rate_option = click.option(
    "--rate", type=click.IntRange(1), help="Move no more events a second than this."
)


@contextmanager
def opened_archiver(data_dir: Path, pace: Pace, *, alone: bool = True) -> Iterator[Archiver]:
    """Yield what archives and restores, with everyone else kept out when it works ``alone``."""
    settings = read_settings(data_dir)
    store = store_of(settings)

    def record(command: RecordArchiving | RecordRestoring) -> bool:
        async def execute(database: Database) -> bool:
            return (await database.ledger.execute(command)).value

        return run_on_database(data_dir, execute)

    with closing(open_owner(settings.database_url.reveal())) as connection:
        if alone:
            take_lock(connection, projections_of_messages())
        yield Archiver(connection, store, record, cause_of_terminal, pace)


def months_of(month: str, log: str | None) -> list[LogMonth]:
    """Return the logs' months that are meant."""
    logs = ARCHIVED_LOGS if log is None else (log,)
    return [LogMonth(checked_month(month), each) for each in logs]
