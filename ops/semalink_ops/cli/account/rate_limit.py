"""The command `account rate-limit`: how fast an account and its keys may send."""

from pathlib import Path
from typing import Any

import rich_click as click

from semalink.application.limits import SetApiKeyRateLimit, SetRateLimit
from semalink.domain.account import Tier
from semalink.domain.errors import ApiKeyNotFound
from semalink.domain.ids import API_KEY_PREFIX, parse_id
from semalink.domain.limit import Limit
from semalink_ops.cli import exit_codes
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.failures import fail
from semalink_ops.cli.output import json_option, show_facts, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option

RATE_MAX = 100_000
BURST_MAX = 1_000_000


@click.command(
    "rate-limit",
    epilog="Example: semalink account rate-limit acct_0198c0de5ca17000800000000000000a "
    '--tier enterprise --rate 250 --burst 1500 --reason "Contract 2026-32"',
)
@click.argument("account_id", metavar="ACCOUNT")
@click.option("--tier", type=click.Choice([str(tier) for tier in Tier]), help="Move it to a tier.")
@click.option(
    "--rate",
    "rate_per_second",
    type=click.IntRange(1, RATE_MAX),
    help="Messages a second that were agreed on; together with --burst.",
)
@click.option("--burst", type=click.IntRange(1, BURST_MAX), help="Messages at once, after a pause.")
@click.option("--unset", is_flag=True, help="Drop what was agreed on: as the tier says.")
@click.option("--key", "key_id", metavar="KEY", help="Bound this key alone, within its account.")
@click.option("--reason", help="Why, for the history; needed to change anything.")
@json_option
@data_dir_option
def rate_limit(  # noqa: PLR0913 - what can be asked for
    *,
    account_id: str,
    tier: str | None,
    rate_per_second: int | None,
    burst: int | None,
    unset: bool,
    key_id: str | None,
    reason: str | None,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Show how fast an account and its keys may send, or set it.

    It holds in every process within two seconds.
    """
    limit = _limit(rate_per_second, burst)
    changes = bool(limit or unset or tier)
    _check(tier, key_id, reason, changes=changes, both=bool(limit and unset))

    async def work(database: Database) -> dict[str, Any]:
        if changes:
            assert reason is not None, "it was checked"
            await _set(database, account_id, key_id, tier, limit, reason)
        return await _shown(database, account_id)

    _show(run_on_database(data_dir, work), as_json=as_json)


def _limit(rate_per_second: int | None, burst: int | None) -> Limit | None:
    if (rate_per_second is None) != (burst is None):
        fail("Give --rate and --burst together.", exit_codes.USAGE)
    if rate_per_second is not None and burst is not None and burst < rate_per_second:
        fail("The burst must be at least as large as the rate of a second.", exit_codes.USAGE)
    return Limit.of(rate_per_second, burst)


def _check(
    tier: str | None, key_id: str | None, reason: str | None, *, changes: bool, both: bool
) -> None:
    if both:
        fail("Give --unset, or --rate and --burst.", exit_codes.USAGE)
    if tier and key_id:
        fail("A tier is an account's; leave --key or --tier out.", exit_codes.USAGE)
    if key_id and not changes:
        fail("Give --rate and --burst for the key, or --unset.", exit_codes.USAGE)
    if changes and not reason:
        fail("Give --reason: the change is recorded with it.", exit_codes.USAGE)


async def _set(
    database: Database,
    account_id: str,
    key_id: str | None,
    tier: str | None,
    limit: Limit | None,
    reason: str,
) -> None:
    owner = await database.account_id(account_id)
    if key_id is None:
        level = None if tier is None else Tier(tier)
        await database.ledger.execute(SetRateLimit(owner, level, limit, reason, database.cause()))
        return
    api_key_id = parse_id(API_KEY_PREFIX, key_id)
    if api_key_id is None:
        raise ApiKeyNotFound
    await database.ledger.execute(
        SetApiKeyRateLimit(owner, api_key_id, limit, reason, database.cause())
    )


async def _shown(database: Database, account_id: str) -> dict[str, Any]:
    owner = await database.account_id(account_id)
    view = await database.reads.account(owner)
    assert view is not None, "an account that was looked up exists"
    return {
        "account_id": view.id,
        "tier": view.tier,
        "rate_per_second": view.rate_per_second,
        "burst": view.burst,
        "is_limit_agreed": view.is_limit_agreed,
        "keys": [
            {
                "id": key.id,
                "name": key.name,
                "mode": key.mode,
                "rate_per_second": key.rate_per_second,
                "burst": key.burst,
            }
            for key in await database.reads.api_keys(owner)
            if key.rate_per_second is not None
        ],
    }


def _show(shown: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(shown)
        return
    whose = "as agreed" if shown["is_limit_agreed"] else "of the tier"
    show_facts(
        {
            "tier": shown["tier"],
            "messages a second": f"{shown['rate_per_second']} ({whose})",
            "burst": str(shown["burst"]),
        }
    )
    if shown["keys"]:
        show_table(
            ["Key", "Name", "Mode", "Messages a second", "Burst"],
            [
                [
                    one["id"],
                    one["name"],
                    one["mode"],
                    str(one["rate_per_second"]),
                    str(one["burst"]),
                ]
                for one in shown["keys"]
            ],
        )
