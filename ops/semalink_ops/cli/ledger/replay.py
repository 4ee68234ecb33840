"""The command `ledger replay`."""

from collections import Counter
from pathlib import Path

import psycopg
import rich_click as click

from semalink.domain.ids import ACCOUNT_PREFIX, format_id
from semalink_adapters.postgres.ledger_replay import Difference, Replay
from semalink_adapters.postgres.ledger_streams import Snapshot
from semalink_ops.cli import exit_codes
from semalink_ops.cli.failures import end_with
from semalink_ops.cli.ledger.verify import progress_over
from semalink_ops.cli.output import json_option, say, show_json
from semalink_ops.cli.settings_source import data_dir_option, read_settings


@click.command("replay", epilog="Example: semalink ledger replay --keep")
@click.option("--keep", is_flag=True, help="Leave the scratch schema, to look at it.")
@json_option
@data_dir_option
def replay(*, keep: bool, as_json: bool, data_dir: Path) -> None:
    """Rebuild every balance from the entries into a scratch schema, and compare.

    The platform may run meanwhile: all is read as it is at one instant. Ends with status 6 when
    a balance or an open reservation differs.
    """
    url = read_settings(data_dir).database_url.reveal()
    read: Counter[str] = Counter()
    with (
        psycopg.connect(url, connect_timeout=5, application_name="semalink-replay") as reader,
        psycopg.connect(url, autocommit=True, application_name="semalink-replay") as writer,
    ):
        Snapshot.begin(reader)
        rebuilt = Replay(reader, writer)
        try:
            with progress_over(Snapshot(reader).count(), read) as advance:
                rebuilt.run(advance)
            found = _show(rebuilt, as_json=as_json)
        finally:
            if not keep:
                rebuilt.drop()
    if as_json:
        schema = rebuilt.schema if keep else None
        show_json({"entries": read["entries"], "differences": found, "schema": schema})
    else:
        click.echo(f"{read['entries']} entries replayed: {found or 'no'} differences.")
    if keep:
        say(f"Kept: DROP SCHEMA {rebuilt.schema} CASCADE; removes it.")
    if found:
        end_with(exit_codes.DIFFERENCES)


def _show(rebuilt: Replay, *, as_json: bool) -> int:
    count = 0
    for difference in rebuilt.differences():
        count += 1
        if as_json:
            show_json(_described(difference))
        else:
            facts = _described(difference)
            click.echo(" ".join(f"{name}={fact}" for name, fact in facts.items() if fact))
    return count


def _described(difference: Difference) -> dict[str, str | None]:
    reservation_id = difference.reservation_id
    return {
        "kind": difference.kind,
        "account_id": format_id(ACCOUNT_PREFIX, difference.account_id),
        "reservation_id": reservation_id.hex if reservation_id else None,
        "replayed": difference.replayed,
        "kept": difference.kept,
    }
