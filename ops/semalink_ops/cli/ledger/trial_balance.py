"""The command `ledger trial-balance`."""

from pathlib import Path

import rich_click as click

from semalink.application.months import TrialBalance
from semalink.domain.money import format_credits
from semalink_ops.cli import exit_codes
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.failures import end_with
from semalink_ops.cli.ledger.month_argument import checked_month, months_of
from semalink_ops.cli.output import json_option, say, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option


@click.command(
    "trial-balance", epilog="Example: semalink ledger trial-balance --month 2026-11 --json"
)
@click.option("--month", help="Up to the end of this month, as 2026-11; up to now without it.")
@json_option
@data_dir_option
def trial_balance(*, month: str | None, as_json: bool, data_dir: Path) -> None:
    """Show the sums of the journal, which add up to nothing.

    Debits are positive and credits negative, in credits. Ends with 6 when the sum is not nothing,
    or when the journal of an account differs from its balance.
    """
    if month is not None:
        checked_month(month)

    async def read(database: Database) -> TrialBalance:
        return await months_of(database).trial_balance(month)

    found = run_on_database(data_dir, read)
    if as_json:
        show_json(found)
    else:
        _show(found)
    if not found.is_sound:
        end_with(exit_codes.DIFFERENCES)


def _show(found: TrialBalance) -> None:
    show_table(
        ["Account", "Movement", "Balance"],
        [
            [one.account, format_credits(one.movement_micros), format_credits(one.balance_micros)]
            for one in found.accounts
        ]
        + [["sum", None, format_credits(found.sum_micros)]],
    )
    say(
        f"{found.entry_count} entries; {found.compared_count} accounts equal to the journal's last "
        f"entry were compared, {found.behind_count} have entries that are not in it yet."
    )
    for account_id in found.differing:
        say(f"{account_id} differs: run `semalink ledger verify --account {account_id}`.")
