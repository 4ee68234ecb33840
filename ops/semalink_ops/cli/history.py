"""The command `history`."""

from pathlib import Path
from typing import Any

import msgspec
import rich_click as click

from semalink.application.reading import EventView
from semalink.domain.ids import (
    ACCOUNT_PREFIX,
    DELIVERY_PREFIX,
    ENDPOINT_PREFIX,
    MESSAGE_PREFIX,
    parse_id,
)
from semalink_ops.cli import exit_codes
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.failures import fail
from semalink_ops.cli.history_search import LIMIT_DEFAULT, search
from semalink_ops.cli.output import json_option, show_json
from semalink_ops.cli.settings_source import data_dir_option
from semalink_ops.cli.timeline import show_timeline

_EPILOG = (
    "Example: semalink history msg_0198c0de5ca17000800000000000000a\n\n"
    "Example: semalink history --refused --from 2026-11-24 --to 2026-11-25"
)


#: Ids of what is found by a search, by how they begin.
_SEARCHED = {ENDPOINT_PREFIX: "endpoint", DELIVERY_PREFIX: "delivery"}


@click.command("history", epilog=_EPILOG)
@click.argument("subject", metavar="[ID]", required=False)
@click.option("--account", metavar="ACCOUNT", help="Only this account, as acct_…")
@click.option("--reservation", metavar="ID", help="Only this reservation, as msg_…")
@click.option("--campaign", metavar="ID", help="Only this campaign, as cmp_…")
@click.option("--actor", help="Only what this actor did, as operator:key_…")
@click.option("--request", help="Only what came of this request, as req_…")
@click.option("--name", help="Only events of this name, as credit.limit_set, or of its first part.")
@click.option("--from", "from_at", metavar="TIME", help="Only from this day or time on, UTC.")
@click.option("--to", "before_at", metavar="TIME", help="Only before this day or time, UTC.")
@click.option("--refused", is_flag=True, help="Only refused commands.")
@click.option("--oldest-first", is_flag=True, help="Begin with the oldest.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=LIMIT_DEFAULT,
    show_default=True,
    help="Rows at most.",
)
@json_option
@data_dir_option
def history(*, subject: str | None, as_json: bool, data_dir: Path, **wanted: Any) -> None:
    """Show every step of a message, or who did what, when and why.

    With the id of a message it shows its whole way and its credits; with that of a webhook
    endpoint or delivery, what was done to it and each attempt. Otherwise it lists what
    happened and what was refused, newest first: of an account, by an actor, in a request, within
    a time. It reads the event log itself. With --json it prints a line for each row.
    """
    narrowed = any(value for name, value in wanted.items() if name not in {"limit", "oldest_first"})
    if subject is not None and subject.startswith(ACCOUNT_PREFIX):
        wanted["account"] = wanted["account"] or subject
    elif subject is not None and subject.startswith(tuple(_SEARCHED)):
        wanted[_SEARCHED[subject[: len(ENDPOINT_PREFIX)]]] = subject
    elif subject is not None and not narrowed:
        _show_message(subject, data_dir, as_json=as_json)
        return
    elif subject is not None:
        wanted["message"] = subject
    search(wanted, data_dir, as_json=as_json)


def _show_message(subject: str, data_dir: Path, *, as_json: bool) -> None:
    message_id = parse_id(MESSAGE_PREFIX, subject)
    if message_id is None:
        fail(
            f"{subject} is no id that has a history: msg_, acct_, whe_ or whk_ and 32"
            " hexadecimal digits.",
            exit_codes.USAGE,
        )

    async def read(database: Database) -> list[EventView] | None:
        return await database.reads.history(message_id, None)

    steps = run_on_database(data_dir, read)
    if steps is None:
        fail(f"There is no message {subject}.", exit_codes.NOT_FOUND)
    if as_json:
        show_json({"id": subject, "items": steps})
        return
    show_timeline([msgspec.structs.asdict(step) for step in steps])
