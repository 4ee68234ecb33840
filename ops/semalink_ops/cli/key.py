"""The command `key`: create, list and revoke API keys."""

from pathlib import Path

import rich_click as click
from uuid_utils.compat import uuid7

from semalink.application.accounts import RevokeApiKey
from semalink.application.reading import ApiKeyView
from semalink.domain.account import Kind
from semalink.domain.ids import API_KEY_PREFIX, format_id, parse_id
from semalink.web.api_key import PREFIX_BY_MODE
from semalink_ops.cli import exit_codes
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.failures import fail
from semalink_ops.cli.output import json_option, say, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option
from semalink_ops.key_issue import (
    CUSTOMER_SCOPES,
    OPERATOR_MODE,
    OPERATOR_SCOPES,
    KeyRequest,
    PreparedKey,
    prepare_key,
)


@click.group("key")
def key() -> None:
    """Create, list and revoke API keys.

    These commands work on the database itself, so they need its settings and no API key.
    """


@key.command(
    "create",
    epilog="Example: semalink key create acct_0198c0de5ca17000800000000000000a --name shop",
)
@click.argument("account_id", metavar="ACCOUNT")
@click.option("--name", required=True, help="What the key is for, for people.")
@click.option(
    "--mode",
    type=click.Choice(list(PREFIX_BY_MODE)),
    default="live",
    show_default=True,
    help="Test keys use the sandbox and cost nothing; operator keys open the admin API.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([*CUSTOMER_SCOPES, *OPERATOR_SCOPES]),
    help="What it may do; give it once for each. All that a customer may, or admin.",
)
@json_option
@data_dir_option
def create(
    *,
    account_id: str,
    name: str,
    mode: str,
    scopes: tuple[str, ...],
    as_json: bool,
    data_dir: Path,
) -> None:
    """Create a key, and print it this once; only a keyed hash of it is stored."""
    granted = _granted(mode, scopes)

    async def issue(database: Database) -> PreparedKey:
        owner = await database.account_id(account_id)
        view = await database.reads.account(owner)
        assert view is not None, "an account that was looked up exists"
        _refuse_wrong_owner(mode, view.kind)
        pepper = database.settings.key_pepper.reveal().encode()
        request = KeyRequest(uuid7(), owner, name, mode, granted)
        prepared = prepare_key(request, pepper, database.cause())
        await database.ledger.execute(prepared.command)
        return prepared

    issued = run_on_database(data_dir, issue)
    api_key_id = format_id(API_KEY_PREFIX, issued.command.key.api_key_id)
    if as_json:
        show_json(
            {
                "id": api_key_id,
                "account_id": account_id,
                "name": name,
                "mode": mode,
                "scopes": issued.command.key.scopes,
                "last_four": issued.command.key.last_four,
                "key": issued.secret,
            }
        )
        return
    click.echo(issued.secret)
    say(f"This is {api_key_id}. Keep the key now: it is stored nowhere and not shown again.")


@key.command("list", epilog="Example: semalink key list acct_0198c0de5ca17000800000000000000a")
@click.argument("account_id", metavar="ACCOUNT")
@json_option
@data_dir_option
def list_keys(*, account_id: str, as_json: bool, data_dir: Path) -> None:
    """List the keys of an account, oldest first, without their secrets."""

    async def read(database: Database) -> list[ApiKeyView]:
        return list(await database.reads.api_keys(await database.account_id(account_id)))

    found = run_on_database(data_dir, read)
    if as_json:
        show_json({"items": found, "next_cursor": None})
        return
    show_table(
        ["Id", "Name", "Mode", "Ends in", "Scopes", "Issued at", "Revoked at"],
        [
            [
                one.id,
                one.name,
                one.mode,
                one.last_four,
                " ".join(one.scopes),
                one.issued_at,
                one.revoked_at,
            ]
            for one in found
        ],
    )


@key.command(
    "revoke",
    epilog="Example: semalink key revoke acct_0198c0de5ca17000800000000000000a "
    "key_0198c0de5ca17000800000000000000b",
)
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("key_id", metavar="KEY")
@data_dir_option
def revoke(*, account_id: str, key_id: str, data_dir: Path) -> None:
    """Stop a key for good; no process accepts it for longer than a second."""
    api_key_id = parse_id(API_KEY_PREFIX, key_id)
    if api_key_id is None:
        fail(f"{key_id} is not the id of a key: key_ and 32 hexadecimal digits.", exit_codes.USAGE)

    async def stop(database: Database) -> None:
        owner = await database.account_id(account_id)
        await database.ledger.execute(RevokeApiKey(owner, api_key_id, database.cause()))

    run_on_database(data_dir, stop)
    say(f"{key_id} works no more.")


def _granted(mode: str, scopes: tuple[str, ...]) -> tuple[str, ...]:
    if mode == OPERATOR_MODE:
        allowed, default = OPERATOR_SCOPES, OPERATOR_SCOPES[:1]
    else:
        allowed, default = CUSTOMER_SCOPES, CUSTOMER_SCOPES
    unfit = [scope for scope in scopes if scope not in allowed]
    if unfit:
        fail(
            f"A key of mode {mode} cannot have the scope {unfit[0]}; "
            f"it can have {', '.join(allowed)}.",
            exit_codes.USAGE,
        )
    return tuple(dict.fromkeys(scopes)) or default


def _refuse_wrong_owner(mode: str, kind: str) -> None:
    if (mode == OPERATOR_MODE) != (kind == Kind.PLATFORM):
        fail(
            "Operator keys belong to an account of the kind platform, and no other keys do. "
            "`semalink account create NAME --kind platform` opens one.",
            exit_codes.USAGE,
        )
