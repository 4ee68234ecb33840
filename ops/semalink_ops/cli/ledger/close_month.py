"""The command `ledger close-month`."""

from pathlib import Path

import rich_click as click

from semalink.application.months import ClosedMonth
from semalink.domain.money import format_credits
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.ledger.month_argument import checked_month, months_of
from semalink_ops.cli.output import json_option, say, show_facts, show_json
from semalink_ops.cli.settings_source import data_dir_option


@click.command("close-month", epilog="Example: semalink ledger close-month 2026-11")
@click.argument("month")
@json_option
@data_dir_option
def close_month(*, month: str, as_json: bool, data_dir: Path) -> None:
    """Close a month: freeze every position and write the statements.

    Months are those of East Africa Time and are closed in order. Asked again, it changes nothing;
    interrupted, it goes on where it was.
    """
    checked_month(month)

    async def close(database: Database) -> tuple[ClosedMonth, bool]:
        return await months_of(database).close(month, database.cause())

    closed, closed_before = run_on_database(data_dir, close)
    if as_json:
        show_json({"month": closed, "closed_before": closed_before})
        return
    if closed_before:
        say(f"{month} was closed before; nothing was changed.")
    show_facts(
        {
            "Month": closed.month,
            "Closed by": closed.closed_by,
            "Closed at": closed.closed_at,
            "Accounts": closed.account_count,
            "Entries": closed.entry_count,
            "Posted": format_credits(closed.posted_micros),
            "Reserved": format_credits(closed.reserved_micros),
            "Positions": closed.positions_sha256,
        }
    )
