"""The command `ledger statement`."""

from pathlib import Path

import rich_click as click

from semalink.application.statement_rendering import FORMATS
from semalink.application.statements import decode_statement
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.ledger.month_argument import checked_month, months_of
from semalink_ops.cli.output import say
from semalink_ops.cli.settings_source import data_dir_option


@click.command(
    "statement",
    epilog=(
        "Example: semalink ledger statement acct_0198c0de5ca17000800000000000000a 2026-11 "
        "--format html --output statement.html"
    ),
)
@click.argument("account", metavar="ACCOUNT")
@click.argument("month")
@click.option(
    "--format",
    "wanted",
    type=click.Choice(list(FORMATS)),
    default="json",
    show_default=True,
    help="Data, a table, or a page to print.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file; without it, to stdout.",
)
@data_dir_option
def statement(
    *, account: str, month: str, wanted: str, as_json: bool, output: Path | None, data_dir: Path
) -> None:
    """Print the statement of an account for a month.

    Of a closed month it is the same, byte for byte, whenever it is asked for. Of a month that is
    not closed it is what happened so far, and says so.
    """
    checked_month(month)

    async def read(database: Database) -> bytes:
        account_id = await database.account_id(account)
        return await months_of(database).statement(account_id, month)

    render = FORMATS["json" if as_json else wanted][1]
    document = run_on_database(data_dir, read)
    shown = render(document)
    if not decode_statement(document).closed:
        say(f"{month} is not closed: this is what happened so far, and not final.")
    if output is None:
        click.echo(shown, nl=False)
        return
    output.write_bytes(shown)
    say(f"Wrote {output}.")
