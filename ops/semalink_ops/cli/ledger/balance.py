"""The command `ledger balance`: any balance, of now, of an instant, or after an entry."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rich_click as click

from semalink.application.credit_reading import BalanceView
from semalink_ops.cli import exit_codes
from semalink_ops.cli.credits_type import credits_or_dash
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.failures import fail
from semalink_ops.cli.output import json_option, show_facts, show_json
from semalink_ops.cli.settings_source import data_dir_option


class Moment(click.ParamType[datetime]):
    """A time in RFC 3339; UTC unless it says otherwise."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the instant that a text such as 2026-11-02T08:15:04Z names."""
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail("Write a time as 2026-11-02T08:15:04Z.", param, ctx)
        return at if at.tzinfo else at.replace(tzinfo=UTC)


@click.command(
    "balance",
    epilog="Example: semalink ledger balance acct_0198c0de5ca17000800000000000000a "
    "--at 2026-11-30T21:00:00Z",
)
@click.argument("account_id", metavar="ACCOUNT")
@click.option("--at", type=Moment(), help="As it was at this instant.")
@click.option("--after-entry", type=click.IntRange(0), help="As it was after this entry.")
@json_option
@data_dir_option
def balance(
    *,
    account_id: str,
    at: datetime | None,
    after_entry: int | None,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Show the balance of an account, now or at any point of its history."""
    if at is not None and after_entry is not None:
        fail("Give --at or --after-entry, not both.", exit_codes.USAGE)

    async def read(database: Database) -> BalanceView | None:
        owner = await database.account_id(account_id)
        if at is not None:
            return await database.reads.balance_at(owner, at)
        if after_entry is not None:
            return await database.reads.balance_after(owner, after_entry)
        return await database.reads.balance(owner)

    found = run_on_database(data_dir, read)
    if found is None:
        fail(f"The account has no entry {after_entry}.", exit_codes.NOT_FOUND)
    if as_json:
        show_json(found)
        return
    show_facts(
        {
            "available": credits_or_dash(found.available_micros),
            "reserved": credits_or_dash(found.reserved_micros),
            "posted": credits_or_dash(found.posted_micros),
            "credit limit": credits_or_dash(found.credit_limit_micros),
            "paid by": found.paid_by,
            "as of": found.as_of,
            "entry": found.entry,
        }
    )
