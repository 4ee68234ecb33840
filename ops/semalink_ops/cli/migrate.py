"""The command `migrate`."""

from pathlib import Path

import rich_click as click

from semalink_adapters.postgres.migrate import current_and_head, upgrade
from semalink_ops.cli import exit_codes
from semalink_ops.cli.failures import end_with
from semalink_ops.cli.output import json_option, show_facts, show_json
from semalink_ops.cli.settings_source import data_dir_option, read_settings


@click.command("migrate", epilog="Example: semalink migrate --check")
@click.option("--check", is_flag=True, help="Change nothing; end with 6 when migrations are due.")
@json_option
@data_dir_option
def migrate(*, check: bool, as_json: bool, data_dir: Path) -> None:
    """Bring the database to the schema of this release.

    Two at once do no harm. Monthly partitions are made as well.
    """
    url = read_settings(data_dir).database_url.reveal()
    if not check:
        upgrade(url)
    current, newest = current_and_head(url)
    if as_json:
        show_json({"revision": current, "newest": newest})
    else:
        show_facts({"revision": current, "newest": newest})
    if current != newest:
        end_with(exit_codes.DIFFERENCES)
