"""The commands of `partitions`."""

from contextlib import closing
from pathlib import Path

import rich_click as click

from semalink_adapters.postgres.archived_months import open_owner
from semalink_adapters.postgres.partition_keeping import ensure_partitions, list_partitions
from semalink_ops.cli.output import json_option, say, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option, read_settings
from semalink_ops.runtime import utc_now


@click.group("partitions")
def partitions() -> None:
    """Make the monthly partitions of the logs ahead, and list them."""


@partitions.command("ensure", epilog="Example: semalink partitions ensure")
@json_option
@data_dir_option
def ensure(*, as_json: bool, data_dir: Path) -> None:
    """Make the partitions of the last, this and the next months; those that are there stay.

    The relay and the scheduler do it by themselves; two at once do no harm.
    """
    made = ensure_partitions(read_settings(data_dir).database_url.reveal(), utc_now())
    if as_json:
        show_json({"made": made})
        return
    for name in made:
        click.echo(name)
    if not made:
        say("Every partition is there.")


@partitions.command("list", epilog="Example: semalink partitions list --json")
@json_option
@data_dir_option
def list_all(*, as_json: bool, data_dir: Path) -> None:
    """List the months of every log: their size, about how many rows, and where they are."""
    with closing(open_owner(read_settings(data_dir).database_url.reveal())) as connection:
        found = list_partitions(connection)
    if as_json:
        show_json({"items": found})
        return
    show_table(
        ("Log", "Month", "State", "Rows, about", "Bytes"),
        [(one.log, one.month, one.state, one.row_count, one.byte_count) for one in found],
    )
