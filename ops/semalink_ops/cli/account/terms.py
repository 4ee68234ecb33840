"""The terms of accounts: caps, prices, refunds."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click

from semalink.application.reading import AccountView
from semalink.application.terms import SetPriceList, SetRefundRule, SetSpendingCap
from semalink.domain.ids import ACCOUNT_PREFIX, parse_id
from semalink.domain.money import format_credits, parse_credits
from semalink.domain.price_list import InvalidPriceList, PriceList
from semalink.domain.refunds import REFUNDABLE
from semalink_ops.cli import exit_codes
from semalink_ops.cli.credits_type import Credits, credits_or_dash
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.failures import fail
from semalink_ops.cli.output import json_option, say, show_facts, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option
from semalink_ops.content_keeping import load_rules

_NONE = "none"
_OURS = "platform"


@click.command(
    "cap", epilog="Example: semalink account cap acct_0198c0de5ca17000800000000000000a 500"
)
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("cap_text", metavar="CREDITS|none")
@json_option
@data_dir_option
def cap(*, account_id: str, cap_text: str, as_json: bool, data_dir: Path) -> None:
    """Bound what a customer may spend of its agent's credits in a month; none lifts it."""
    cap_micros = None if cap_text == _NONE else Credits().convert(cap_text, None, None)

    async def change(database: Database) -> AccountView:
        owner = await database.account_id(account_id)
        payer = parse_id(ACCOUNT_PREFIX, (await _view(database, account_id)).billing_account_id)
        assert payer is not None, "an account that was read has a payer"
        await database.ledger.execute(SetSpendingCap(owner, payer, cap_micros, database.cause()))
        return await _view(database, account_id)

    view = run_on_database(data_dir, change)
    if as_json:
        show_json(view)
        return
    show_facts({"spending cap": credits_or_dash(view.spending_cap_micros)})


@click.command(
    "prices",
    epilog="Example: semalink account prices acct_0198c0de5ca17000800000000000000a prices.toml",
)
@click.argument("account_id", metavar="AGENT")
@click.argument(
    "path", metavar="[FILE]", required=False, type=click.Path(path_type=Path, exists=True)
)
@json_option
@data_dir_option
def prices(*, account_id: str, path: Path | None, as_json: bool, data_dir: Path) -> None:
    """Show what an agent's customers pay a segment, or set it from a TOML or JSON file.

    In the file, credits in quotes by destination: KE = "0.95" and "KE/safaricom" = "1.00".
    Destinations that it does not name cost what the platform asks.
    """
    wanted = None if path is None else _read_prices(path)

    async def work(database: Database) -> AccountView:
        owner = await database.account_id(account_id)
        if wanted is not None:
            await database.ledger.execute(SetPriceList(owner, wanted, database.cause()))
            card = load_rules(database.settings).rate_card
            for below in PriceList.from_mapping(wanted).below_cost(card):
                say(
                    f"Warning: {below.destination} is sold for "
                    f"{format_credits(below.price_micros)} and costs "
                    f"{format_credits(below.cost_micros)}."
                )
        return await _view(database, account_id)

    view = run_on_database(data_dir, work)
    if as_json:
        show_json({"account_id": view.id, "segment_micros": view.price_list})
        return
    show_table(
        ["Destination", "Credits a segment"],
        [[name, format_credits(view.price_list[name])] for name in sorted(view.price_list)],
    )


@click.command(
    "refund-rule",
    epilog="Example: semalink account refund-rule acct_0198c0de5ca17000800000000000000a "
    "rejected failed",
)
@click.argument("account_id", metavar="ACCOUNT")
@click.argument(
    "states",
    nargs=-1,
    required=True,
    metavar="STATE...",
    type=click.Choice([_OURS, _NONE, *sorted(str(one) for one in REFUNDABLE)]),
)
@json_option
@data_dir_option
def refund_rule(*, account_id: str, states: tuple[str, ...], as_json: bool, data_dir: Path) -> None:
    """Choose the final states that give an account's charges back.

    `none` gives nothing back, `platform` follows the platform's rule.
    """
    if len(states) > 1 and {_OURS, _NONE} & set(states):
        fail(f"Give {_NONE} or {_OURS} alone.", exit_codes.USAGE)
    rule = None if states == (_OURS,) else [one for one in states if one != _NONE]

    async def change(database: Database) -> AccountView:
        owner = await database.account_id(account_id)
        await database.ledger.execute(SetRefundRule(owner, rule, database.cause()))
        return await _view(database, account_id)

    view = run_on_database(data_dir, change)
    if as_json:
        show_json(view)
        return
    ruled = _OURS if view.refunded_on is None else ", ".join(view.refunded_on) or _NONE
    show_facts({"refunded on": ruled})


async def _view(database: Database, account_id: str) -> AccountView:
    view = await database.reads.account(await database.account_id(account_id))
    assert view is not None, "an account that was looked up exists"
    return view


def _read_prices(path: Path) -> dict[str, int]:
    try:
        content = path.read_bytes()
        read: Any = (
            msgspec.json.decode(content)
            if path.suffix == ".json"
            else tomllib.loads(content.decode())
        )
        return _micros_of(read)
    except (OSError, UnicodeDecodeError, ValueError, msgspec.DecodeError) as error:
        fail(f"{path}: {error}", exit_codes.USAGE)


def _micros_of(read: Any) -> dict[str, int]:
    if not isinstance(read, Mapping):
        msg = "Write a table of destinations and prices."
        raise InvalidPriceList(msg)
    found = {}
    for destination, price in read.items():
        if not isinstance(price, str):
            raise InvalidPriceList(f'{destination} must stand in quotes, as "0.95".')
        found[destination] = parse_credits(price)
    PriceList.from_mapping(found)
    return found
