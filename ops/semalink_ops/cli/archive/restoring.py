"""The command `archive restore`."""

from pathlib import Path

import rich_click as click

from semalink_ops.archiving.pace import Pace
from semalink_ops.archiving.restoring import Restorer
from semalink_ops.cli import exit_codes
from semalink_ops.cli.archive.opening import log_option, months_of, opened_archiver, rate_option
from semalink_ops.cli.archive.running import item_of
from semalink_ops.cli.failures import fail
from semalink_ops.cli.load_progress import shown_rows
from semalink_ops.cli.output import json_option, say, show_json
from semalink_ops.cli.settings_source import data_dir_option, read_settings


@click.command("restore", epilog="Example: semalink archive restore 2026-03 --log message_events")
@click.argument("month")
@log_option
@rate_option
@json_option
@data_dir_option
def restore_month(
    *, month: str, log: str | None, rate: int | None, as_json: bool, data_dir: Path
) -> None:
    """Bring an archived month back into the database.

    Its rows are those that were archived, with their places in the log, so that nothing reads them
    as new; this is checked before they become a part of the log. The archive keeps its files.
    """
    items = []
    url = read_settings(data_dir).database_url.reveal()
    with shown_rows("restore") as tell, opened_archiver(data_dir, Pace(rate, tell)) as archiver:
        known = {(row.log, row.month) for row in archiver.book.all() if row.state != "restored"}
        wanted = [one for one in months_of(month, log) if (one.log, one.month) in known]
        if not wanted:
            fail(f"{month} is not in the archive.", exit_codes.NOT_FOUND)
        try:
            for each in wanted:
                Restorer(archiver, url).restore(each)
                found = archiver.book.find(each.log, each.month)
                assert found is not None, "a restored month has a row"
                items.append(item_of(found))
        except KeyboardInterrupt:
            say("Interrupted; the month is still in the archive. The same command begins again.")
            raise
    if as_json:
        show_json({"items": items})
    else:
        for one in items:
            say(f"{one['log']} {one['month']} is in the database again.")
