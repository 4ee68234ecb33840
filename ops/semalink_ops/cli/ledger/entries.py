"""The command `ledger entries`: what moved an account's credits."""

from datetime import datetime
from pathlib import Path

import rich_click as click

from semalink.application.credit_reading import EntryFilter, EntryView
from semalink_ops.cli.credits_type import credits_or_dash
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.ledger.balance import Moment
from semalink_ops.cli.output import json_option, say, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option


@click.command(
    "entries",
    epilog="Example: semalink ledger entries acct_0198c0de5ca17000800000000000000a --name charged",
)
@click.argument("account_id", metavar="ACCOUNT")
@click.option("--name", help="Only this verb, such as charged or limit_set.")
@click.option("--from", "at_from", type=Moment(), help="Only from this time on.")
@click.option("--before", "at_before", type=Moment(), help="Only before this time.")
@click.option("--below", type=click.IntRange(1), help="Only below this entry: the next page.")
@click.option(
    "--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="At most so many."
)
@json_option
@data_dir_option
def entries(  # noqa: PLR0913 - the options of one command
    *,
    account_id: str,
    name: str | None,
    at_from: datetime | None,
    at_before: datetime | None,
    below: int | None,
    limit: int,
    as_json: bool,
    data_dir: Path,
) -> None:
    """List the entries of an account, newest first, with the balance after each."""
    wanted = EntryFilter(name, at_from, at_before)

    async def read(database: Database) -> list[EntryView]:
        owner = await database.account_id(account_id)
        return list(await database.reads.entries(owner, wanted, before=below, limit=limit))

    found = run_on_database(data_dir, read)
    if as_json:
        show_json({"items": found, "next_cursor": None})
        return
    show_table(
        ["Entry", "At", "Name", "Credits", "Posted", "Reserved", "Available", "Message", "By"],
        [
            [
                one.entry,
                one.recorded_at,
                one.name,
                credits_or_dash(one.amount_micros),
                credits_or_dash(one.posted_after_micros),
                credits_or_dash(one.reserved_after_micros),
                credits_or_dash(one.available_after_micros),
                one.message_id,
                one.actor,
            ]
            for one in found
        ],
    )
    if len(found) == limit:
        say(f"There may be more: semalink ledger entries {account_id} --below {found[-1].entry}")
