"""Adjustments: proposed by one person, approved or rejected by another."""

from pathlib import Path
from uuid import UUID

import rich_click as click
from uuid_utils.compat import uuid7

from semalink.application.credit_reading import AdjustmentView
from semalink.application.credits import (
    ApproveAdjustment,
    ProposeAdjustment,
    RejectAdjustment,
)
from semalink.domain.adjustment import AdjustmentState, Category
from semalink.domain.ids import ACCOUNT_PREFIX, ADJUSTMENT_PREFIX, parse_id
from semalink.domain.money import format_credits
from semalink_ops.cli import exit_codes
from semalink_ops.cli.credits_type import Credits
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.failures import fail
from semalink_ops.cli.output import json_option, say, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option

_ID = "adj_0198c0de5ca17000800000000000000c"


@click.group("adjust")
def adjust() -> None:
    """Correct balances: one person proposes, another approves or rejects."""


@adjust.command(
    "propose",
    epilog="Example: semalink account adjust propose acct_0198c0de5ca17000800000000000000a "
    '--category goodwill --reason "outage of 3 November" -- 25',
)
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("amount_micros", metavar="CREDITS", type=Credits(least_micros=None))
@click.option(
    "--category",
    type=click.Choice([str(one) for one in Category]),
    required=True,
    help="What it is for; it decides where it is booked.",
)
@click.option("--reason", required=True, help="Why, for auditors.")
@json_option
@data_dir_option
def propose(
    *,
    account_id: str,
    amount_micros: int,
    category: str,
    reason: str,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Ask for a correction; nothing moves before another person approves it.

    Write -- before an amount that takes credits away: -- -25.
    """
    if not amount_micros:
        fail("An adjustment of nothing is none.", exit_codes.USAGE)

    async def ask(database: Database) -> AdjustmentView | None:
        adjustment_id = uuid7()
        command = ProposeAdjustment(
            adjustment_id,
            await database.account_id(account_id),
            amount_micros,
            Category(category),
            reason,
            database.cause(),
        )
        await database.ledger.execute(command)
        return await database.reads.adjustment(adjustment_id)

    proposed = run_on_database(data_dir, ask)
    assert proposed is not None, "an adjustment that was proposed can be read"
    _show_one(proposed, as_json=as_json)
    say(f"Next, another person: semalink account adjust approve {proposed.id}")


@adjust.command("approve", epilog=f"Example: semalink account adjust approve {_ID}")
@click.argument("adjustment_id", metavar="ADJUSTMENT")
@json_option
@data_dir_option
def approve(*, adjustment_id: str, as_json: bool, data_dir: Path) -> None:
    """Agree to what another person proposed, and apply it at once."""

    async def agree(database: Database) -> AdjustmentView:
        found, account_id = await _find(database, adjustment_id)
        await database.ledger.execute(ApproveAdjustment(found, account_id, database.cause()))
        return await _read(database, found)

    _show_one(run_on_database(data_dir, agree), as_json=as_json)


@adjust.command(
    "reject", epilog=f'Example: semalink account adjust reject {_ID} --reason "entered twice"'
)
@click.argument("adjustment_id", metavar="ADJUSTMENT")
@click.option("--reason", required=True, help="Why, for auditors.")
@json_option
@data_dir_option
def reject(*, adjustment_id: str, reason: str, as_json: bool, data_dir: Path) -> None:
    """Close an adjustment without effect; whoever proposed it may, too."""

    async def close(database: Database) -> AdjustmentView:
        found, account_id = await _find(database, adjustment_id)
        command = RejectAdjustment(found, account_id, reason, database.cause())
        await database.ledger.execute(command)
        return await _read(database, found)

    _show_one(run_on_database(data_dir, close), as_json=as_json)


@adjust.command("list", epilog="Example: semalink account adjust list --state proposed")
@click.option(
    "--state",
    type=click.Choice([str(one) for one in AdjustmentState]),
    help="Only those that stand so.",
)
@click.option(
    "--limit", type=click.IntRange(1, 500), default=100, show_default=True, help="At most so many."
)
@json_option
@data_dir_option
def list_adjustments(*, state: str | None, limit: int, as_json: bool, data_dir: Path) -> None:
    """List adjustments, newest first."""

    async def read(database: Database) -> list[AdjustmentView]:
        return list(await database.reads.adjustments(state, before=None, limit=limit))

    found = run_on_database(data_dir, read)
    if as_json:
        show_json({"items": found, "next_cursor": None})
        return
    _show_table(found)


async def _find(database: Database, text: str) -> tuple[UUID, UUID]:
    adjustment_id = parse_id(ADJUSTMENT_PREFIX, text)
    found = None if adjustment_id is None else await database.reads.adjustment(adjustment_id)
    if adjustment_id is None or found is None:
        fail(
            f"There is no adjustment {text}. `semalink account adjust list` shows all.",
            exit_codes.NOT_FOUND,
        )
    account_id = parse_id(ACCOUNT_PREFIX, found.account_id)
    assert account_id is not None, "an adjustment that was read has an account"
    return adjustment_id, account_id


async def _read(database: Database, adjustment_id: UUID) -> AdjustmentView:
    found = await database.reads.adjustment(adjustment_id)
    assert found is not None, "an adjustment that was decided can be read"
    return found


def _show_one(adjustment: AdjustmentView, *, as_json: bool) -> None:
    if as_json:
        show_json(adjustment)
        return
    _show_table([adjustment])


def _show_table(found: list[AdjustmentView]) -> None:
    show_table(
        ["Id", "Account", "Credits", "Category", "State", "Proposed by", "Decided by", "Reason"],
        [
            [
                one.id,
                one.account_id,
                format_credits(one.amount_micros),
                one.category,
                one.state,
                one.proposed_by,
                one.decided_by,
                one.reason,
            ]
            for one in found
        ],
    )
