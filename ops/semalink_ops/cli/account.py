"""The command `account`: open, list, show and credit accounts."""

from pathlib import Path
from typing import Any

import rich_click as click
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, TopUp, TopUpRecorded
from semalink.application.reading import AccountView, BalanceView
from semalink.domain.account import Kind, Tier
from semalink.domain.ids import ACCOUNT_PREFIX, format_id, parse_id
from semalink.domain.money import format_credits, parse_credits
from semalink_ops.cli import exit_codes
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.failures import fail
from semalink_ops.cli.output import json_option, say, show_facts, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option

_PAGE = 500


class _Credits(click.ParamType[int]):
    """An amount of credits in decimals, kept in micros."""

    name = "credits"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the micros of an amount such as "1250.75"."""
        try:
            amount_micros = parse_credits(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if amount_micros <= 0:
            self.fail("The amount must be more than nothing.", param, ctx)
        return amount_micros


@click.group("account")
def account() -> None:
    """Open, list and credit accounts.

    These commands work on the database itself, so they need its settings and no API key.
    """


@account.command("create", epilog='Example: semalink account create "Acme Ltd" --tier growth')
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice([str(kind) for kind in Kind]),
    default=str(Kind.DIRECT),
    show_default=True,
    help="Who they are to us.",
)
@click.option(
    "--tier",
    type=click.Choice([str(tier) for tier in Tier]),
    default=str(Tier.STARTER),
    show_default=True,
    help="The service level, which sets the rate limits.",
)
@json_option
@data_dir_option
def create(*, name: str, kind: str, tier: str, as_json: bool, data_dir: Path) -> None:
    """Open an account with no credits, and print its id."""

    async def open_account(database: Database) -> AccountView | None:
        account_id = uuid7()
        command = OpenAccount(account_id, name, Kind(kind), Tier(tier), database.cause())
        await database.ledger.execute(command)
        return await database.reads.account(account_id)

    opened = run_on_database(data_dir, open_account)
    assert opened is not None, "an account that was opened can be read"
    if as_json:
        show_json(opened)
        return
    click.echo(opened.id)
    say(f"Next: semalink account top-up {opened.id} 1000 --reference <the payment's reference>")


@account.command("list", epilog="Example: semalink account list --json")
@click.option("--after", metavar="ACCOUNT", help="Start after this account.")
@click.option(
    "--limit",
    type=click.IntRange(1, _PAGE),
    default=100,
    show_default=True,
    help="Show at most so many.",
)
@json_option
@data_dir_option
def list_accounts(*, after: str | None, limit: int, as_json: bool, data_dir: Path) -> None:
    """List accounts in the order of their opening."""
    after_id = None if after is None else parse_id(ACCOUNT_PREFIX, after)
    if after is not None and after_id is None:
        fail(f"{after} is not the id of an account.", exit_codes.USAGE)

    async def read(database: Database) -> list[AccountView]:
        return list(await database.reads.accounts(after=after_id, limit=limit))

    found = run_on_database(data_dir, read)
    next_cursor = found[-1].id if len(found) == limit else None
    if as_json:
        show_json({"items": found, "next_cursor": next_cursor})
        return
    show_table(
        ["Id", "Name", "Kind", "Tier", "Opened at"],
        [[one.id, one.name, one.kind, one.tier, one.opened_at] for one in found],
    )
    if next_cursor:
        say(f"There may be more: semalink account list --after {next_cursor}")


@account.command(
    "show", epilog="Example: semalink account show acct_0198c0de5ca17000800000000000000a"
)
@click.argument("account_id", metavar="ACCOUNT")
@json_option
@data_dir_option
def show(*, account_id: str, as_json: bool, data_dir: Path) -> None:
    """Show an account and its balance."""

    async def read(database: Database) -> tuple[AccountView | None, BalanceView | None]:
        found = await database.account_id(account_id)
        return await database.reads.account(found), await database.reads.balance(found)

    view, balance = run_on_database(data_dir, read)
    assert view is not None, "an account that was looked up exists"
    assert balance is not None, "every account has a balance"
    if as_json:
        show_json({"account": view, "balance": balance})
        return
    show_facts(
        {
            "id": view.id,
            "name": view.name,
            "kind": view.kind,
            "tier": view.tier,
            "billed to": view.billing_account_id,
            "preferred route": view.preferred_aggregator,
            "opened at": view.opened_at,
            "available": format_credits(balance.available_micros),
            "reserved": format_credits(balance.reserved_micros),
            "posted": format_credits(balance.posted_micros),
            "credit limit": format_credits(balance.credit_limit_micros),
        }
    )


@account.command(
    "top-up",
    epilog="Example: semalink account top-up acct_0198c0de5ca17000800000000000000a 1000 "
    "--reference INV-2041",
)
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("amount_micros", metavar="CREDITS", type=_Credits())
@click.option("--reference", required=True, help="The payment's own reference, credited once.")
@json_option
@data_dir_option
def top_up(
    *, account_id: str, amount_micros: int, reference: str, as_json: bool, data_dir: Path
) -> None:
    """Credit a payment.

    Giving the same reference again changes nothing, so it is safe to repeat.
    """

    async def credit(database: Database) -> tuple[TopUpRecorded, bool]:
        paid_to = await database.account_id(account_id)
        command = TopUp(paid_to, amount_micros, reference, database.cause())
        answer = await database.ledger.execute(command)
        return answer.value, answer.replayed

    recorded, is_repetition = run_on_database(data_dir, credit)
    if as_json:
        show_json(
            {
                "account_id": format_id(ACCOUNT_PREFIX, recorded.account_id),
                "amount_micros": recorded.amount_micros,
                "payment_reference": recorded.payment_reference,
                "posted_micros": recorded.posted_micros,
                "available_micros": recorded.available_micros,
                "replayed": is_repetition,
            }
        )
        return
    if is_repetition:
        say("This payment was credited before; nothing was changed.")
    show_facts(
        {
            "credited": format_credits(recorded.amount_micros),
            "available": format_credits(recorded.available_micros),
        }
    )
