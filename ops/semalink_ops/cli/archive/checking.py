"""The command `archive verify`."""

from pathlib import Path

import rich_click as click

from semalink_adapters.archive.manifest import ArchiveAltered
from semalink_adapters.archive.month_writer import verify_month
from semalink_adapters.postgres.archived_months import IN_ARCHIVE, ArchivedRow
from semalink_ops.archiving.calendar import checked_month
from semalink_ops.archiving.months import Archiver
from semalink_ops.archiving.pace import Pace
from semalink_ops.archiving.restoring import manifest_of
from semalink_ops.cli import exit_codes
from semalink_ops.cli.archive.opening import log_option, opened_archiver
from semalink_ops.cli.failures import end_with
from semalink_ops.cli.load_progress import shown_rows
from semalink_ops.cli.output import json_option, say, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option

_EPILOG = "Example: semalink archive verify 2026-03\n\nExample: semalink archive verify --json"


@click.command("verify", epilog=_EPILOG)
@click.argument("month", required=False)
@log_option
@json_option
@data_dir_option
def verify_archive(*, month: str | None, log: str | None, as_json: bool, data_dir: Path) -> None:
    """Read archived months again and compare them with their manifests.

    Every file and every row is read. What is not as it was written is named, and ends the command
    with 6.
    """
    wanted = None if month is None else checked_month(month)
    with (
        shown_rows("verify") as tell,
        opened_archiver(data_dir, Pace(None, tell), alone=False) as archiver,
    ):
        items = [
            {"month": row.month, "log": row.log, "event_count": row.row_count, "fault": fault}
            for row in archiver.book.all()
            if row.state in IN_ARCHIVE and wanted in (None, row.month) and log in (None, row.log)
            for fault in [_fault(archiver, row)]
        ]
    if as_json:
        show_json({"items": items})
    elif not items:
        say("No month is in the archive.")
    else:
        show_table(
            ("Month", "Log", "Events", "Fault"),
            [(one["month"], one["log"], one["event_count"], one["fault"]) for one in items],
        )
    if any(one["fault"] for one in items):
        end_with(exit_codes.DIFFERENCES)


def _fault(archiver: Archiver, row: ArchivedRow) -> str | None:
    try:
        manifest = manifest_of(archiver, row)
        found = verify_month(archiver.store, manifest, archiver.pace.tell)
    except ArchiveAltered as altered:
        return str(altered)
    if found.content_sha256 != row.content_sha256:
        return "The manifest is not that of the month in the database."
    return None
