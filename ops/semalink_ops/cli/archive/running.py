"""The command `archive run`."""

from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

import rich_click as click

from semalink_adapters.postgres.archived_months import ArchivedRow
from semalink_ops.archiving.calendar import LogMonth, checked_month, end_of_due, months_in_database
from semalink_ops.archiving.months import Archiver, MonthBlocked
from semalink_ops.archiving.pace import Pace
from semalink_ops.cli import exit_codes
from semalink_ops.cli.archive.opening import opened_archiver, rate_option
from semalink_ops.cli.failures import end_with, fail
from semalink_ops.cli.load_progress import shown_rows
from semalink_ops.cli.output import json_option, say, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option
from semalink_ops.runtime import utc_now

_EPILOG = (
    "Example: semalink archive run --dry-run\n\n"
    "Example: semalink archive run --before 2026-08 --rate 20000"
)
_INTERRUPTED = (
    "Interrupted; nothing is lost. What was written is kept, and the same command goes on with it."
)


@click.command("run", epilog=_EPILOG)
@click.option(
    "--before",
    metavar="MONTH",
    help="Months before this one, as 2026-08; otherwise those that ended 90 days ago.",
)
@click.option(
    "--again",
    metavar="MONTH",
    multiple=True,
    help="Also this month, as 2026-03, which was restored; others that were stay.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be archived.")
@rate_option
@json_option
@data_dir_option
def run_archive(
    *,
    before: str | None,
    again: tuple[str, ...],
    dry_run: bool,
    rate: int | None,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Move months of events that are old enough into the archive.

    A month is written, read back, compared with the database, and only then dropped there. One
    that still has unfinished messages is refused and named, and ends the command with 5.
    """
    due, named = end_of_due(utc_now(), before), [checked_month(month) for month in again]
    with shown_rows("archive") as tell, opened_archiver(data_dir, Pace(rate, tell)) as archiver:
        try:
            done, refused = _run(archiver, _wanted(archiver, due, named), dry_run=dry_run)
        except KeyboardInterrupt:
            say(_INTERRUPTED)
            raise
    if as_json:
        refusals = [_refusal(one) for one in refused]
        show_json({"dry_run": dry_run, "items": done, "refused": refusals})
    else:
        _show(done, dry_run=dry_run)
        for one in refused:
            say(str(one))
    if refused:
        end_with(exit_codes.CONFLICT)


def _wanted(archiver: Archiver, due: datetime, again: Collection[str]) -> list[LogMonth]:
    """Return the months to move: those that are due, and those that a run did not finish.

    A month that was restored is looked at by somebody, and stays until it is named.
    """
    found = {month for month in months_in_database(archiver.connection) if month.bounds[1] <= due}
    restored: set[LogMonth] = set()
    for row in archiver.book.all():
        month = LogMonth(row.month, row.log)
        if row.state in ("exporting", "verified", "dropped"):
            found.add(month)
        elif row.state in ("restoring", "attached"):
            found.discard(month)
        elif row.state == "restored":
            found.discard(month)
            restored.add(month)
    named = {month for month in restored if month.month in again}
    for missing in sorted(set(again) - {month.month for month in named}):
        fail(f"{missing} was not restored; --again takes months that were.", exit_codes.NOT_FOUND)
    return sorted(found | named)


def _run(
    archiver: Archiver, wanted: list[LogMonth], *, dry_run: bool
) -> tuple[list[dict[str, Any]], list[MonthBlocked]]:
    done: list[dict[str, Any]] = []
    refused: list[MonthBlocked] = []
    for month in wanted:
        try:
            if dry_run:
                state = _would_be(archiver, month)
                done.append({"month": month.month, "log": month.log, "state": state})
            else:
                done.append(item_of(archiver.archive(month)))
        except MonthBlocked as blocked:
            refused.append(blocked)
    return done, refused


def _would_be(archiver: Archiver, month: LogMonth) -> str:
    """Return what a run would do with a month; raises MonthBlocked."""
    row = archiver.book.find(month.log, month.month)
    if row is not None and row.state in ("verified", "dropped"):
        # It is written and was found whole; its partition may be gone already.
        return "would be finished"
    found = archiver.blockers(month)
    if found:
        raise MonthBlocked(month, found)
    return "due"


def item_of(row: ArchivedRow) -> dict[str, Any]:
    """Return what is shown of a month."""
    return {
        "month": row.month,
        "log": row.log,
        "state": row.state,
        "event_count": row.row_count,
        "byte_count": row.byte_count,
        "location": row.manifest_path,
        "content_sha256": row.content_sha256,
        "manifest_sha256": row.manifest_sha256,
        "archived_at": row.archived_at,
        "changed_by": row.changed_by,
    }


def _refusal(refused: MonthBlocked) -> dict[str, Any]:
    return {"month": refused.month.month, "log": refused.month.log, "blockers": refused.found}


def _show(done: list[dict[str, Any]], *, dry_run: bool) -> None:
    if not done:
        say("No month is due." if not dry_run else "Nothing would be archived.")
        return
    show_table(
        ("Month", "Log", "State", "Events", "Bytes", "Manifest"),
        [
            (
                one["month"], one["log"], one["state"], one.get("event_count"),
                one.get("byte_count"), one.get("location"),
            )
            for one in done
        ],
    )  # fmt: skip
