"""Opening, listing and showing accounts."""

from pathlib import Path
from typing import Any

import rich_click as click
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount
from semalink.application.credit_reading import BalanceView
from semalink.application.reading import AccountView
from semalink.domain.account import Kind, Tier
from semalink.domain.ids import ACCOUNT_PREFIX, parse_id
from semalink_ops.cli import exit_codes
from semalink_ops.cli.credits_type import credits_or_dash
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.failures import fail
from semalink_ops.cli.output import json_option, say, show_facts, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option

_PAGE = 500


@click.command("create", epilog='Example: semalink account create "Acme Ltd" --tier growth')
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
@click.option("--agent", metavar="ACCOUNT", help="Whose customer it is; --kind is then customer.")
@click.option("--pays-itself", is_flag=True, help="A customer with credits of its own.")
@json_option
@data_dir_option
def create(  # noqa: PLR0913 - the options of one command
    *,
    name: str,
    kind: str,
    tier: str,
    agent: str | None,
    pays_itself: bool,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Open an account with no credits, and print its id."""

    async def open_account(database: Database) -> AccountView | None:
        account_id = uuid7()
        agent_id = None if agent is None else await database.account_id(agent)
        command = OpenAccount(
            account_id,
            name,
            Kind(kind) if agent_id is None else Kind.CUSTOMER,
            Tier(tier),
            database.cause(),
            agent_id=agent_id,
            pays_itself=pays_itself,
        )
        await database.ledger.execute(command)
        return await database.reads.account(account_id)

    opened = run_on_database(data_dir, open_account)
    assert opened is not None, "an account that was opened can be read"
    if as_json:
        show_json(opened)
        return
    click.echo(opened.id)
    if opened.billing_account_id != opened.id:
        say("Its agent pays for it. Next: semalink key create " + opened.id)
        return
    say(f"Next: semalink account top-up {opened.id} 1000 --reference <the payment's reference>")


@click.command("list", epilog="Example: semalink account list --json")
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


@click.command(
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
            "agent": view.agent_id,
            "billed to": view.billing_account_id,
            "preferred route": view.preferred_aggregator,
            "opened at": view.opened_at,
            "refunded on": view.refunded_on and ", ".join(view.refunded_on),
            **_balance_facts(balance),
        }
    )


def _balance_facts(balance: BalanceView) -> dict[str, Any]:
    if balance.paid_by == "agent":
        return {
            "spending cap": credits_or_dash(balance.spending_cap_micros),
            "spent this month": credits_or_dash(balance.spent_this_month_micros),
        }
    return {
        "available": credits_or_dash(balance.available_micros),
        "reserved": credits_or_dash(balance.reserved_micros),
        "posted": credits_or_dash(balance.posted_micros),
        "credit limit": credits_or_dash(balance.credit_limit_micros),
    }
