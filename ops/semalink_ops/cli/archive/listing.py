"""The command `archive list`."""

from contextlib import closing
from pathlib import Path

import rich_click as click

from semalink_adapters.postgres.archived_months import MonthBook, open_owner
from semalink_ops.cli.archive.running import item_of
from semalink_ops.cli.output import json_option, say, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option, read_settings


@click.command("list", epilog="Example: semalink archive list --json")
@json_option
@data_dir_option
def list_archive(*, as_json: bool, data_dir: Path) -> None:
    """List the months that are or were in the archive."""
    with closing(open_owner(read_settings(data_dir).database_url.reveal())) as connection:
        items = [item_of(row) for row in MonthBook(connection).all()]
    if as_json:
        show_json({"items": items})
        return
    if not items:
        say("No month was archived.")
        return
    show_table(
        ("Month", "Log", "State", "Events", "Bytes", "Archived at", "By", "Manifest"),
        [
            (
                one["month"], one["log"], one["state"], one["event_count"], one["byte_count"],
                one["archived_at"], one["changed_by"], one["location"],
            )
            for one in items
        ],
    )  # fmt: skip
