"""The command `ledger checkpoint`."""

from pathlib import Path
from typing import Any

import psycopg
import rich_click as click

from semalink.domain.checkpoint import SignedCheckpoint
from semalink_adapters.postgres import checkpoints
from semalink_ops.cli import exit_codes
from semalink_ops.cli.failures import fail
from semalink_ops.cli.output import json_option, say, show_facts, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option, read_settings
from semalink_ops.runtime import utc_now
from semalink_ops.signing import format_key, signer_of


@click.command("checkpoint", epilog="Example: semalink ledger checkpoint --list --limit 10")
@click.option("--list", "as_list", is_flag=True, help="List the newest ones; sign nothing.")
@click.option(
    "--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="List so many."
)
@json_option
@data_dir_option
def checkpoint(*, as_list: bool, limit: int, as_json: bool, data_dir: Path) -> None:
    """Sign the chains of all accounts as they are now, or list what was signed.

    The relay does it by itself every few seconds while credits move.
    """
    settings = read_settings(data_dir)
    with psycopg.connect(
        settings.database_url.reveal(), autocommit=True, connect_timeout=5
    ) as connection:
        if as_list:
            _list(checkpoints.newest(connection, None, limit), as_json=as_json)
            return
        signer = signer_of(settings)
        if signer is None:
            fail(
                "SEMALINK_LEDGER_SIGNING_KEY is not set. Make a key with "
                "`openssl rand -base64 32` and keep it.",
                exit_codes.USAGE,
            )
        taken = checkpoints.take(connection, signer, utc_now())
        if taken is None:
            say("Nothing moved since the last checkpoint, or another one is being taken.")
            taken = checkpoints.latest(connection)
    if taken is None:
        fail("There is no checkpoint yet, and no account to sign.", exit_codes.NOT_FOUND)
    if as_json:
        show_json(described(taken))
    else:
        show_facts(described(taken))


def described(taken: SignedCheckpoint) -> dict[str, Any]:
    """Return a checkpoint as programs read it."""
    one = taken.checkpoint
    return {
        "number": one.number,
        "taken_at": one.taken_at,
        "account_count": one.account_count,
        "root": one.root.hex(),
        "previous_hash": one.previous_hash.hex(),
        "checkpoint_hash": taken.checkpoint_hash.hex(),
        "public_key": format_key(taken.public_key),
        "signature": taken.signature.hex(),
    }


def _list(taken: list[SignedCheckpoint], *, as_json: bool) -> None:
    if as_json:
        show_json({"items": [described(one) for one in taken]})
        return
    show_table(
        ["Number", "Taken at", "Accounts", "Root"],
        [
            [
                one.checkpoint.number,
                one.checkpoint.taken_at,
                one.checkpoint.account_count,
                one.checkpoint.root.hex(),
            ]
            for one in taken
        ],
    )
