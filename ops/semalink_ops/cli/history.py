"""The command `history`."""

from pathlib import Path

import msgspec
import rich_click as click

from semalink.application.reading import EventView
from semalink.domain.ids import MESSAGE_PREFIX, parse_id
from semalink_ops.cli import exit_codes
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.failures import fail
from semalink_ops.cli.output import json_option, show_json
from semalink_ops.cli.settings_source import data_dir_option
from semalink_ops.cli.timeline import show_timeline


@click.command("history", epilog="Example: semalink history msg_0198c0de5ca17000800000000000000a")
@click.argument("subject", metavar="ID")
@json_option
@data_dir_option
def history(*, subject: str, as_json: bool, data_dir: Path) -> None:
    """Show every step of a message and its credits.

    It reads the event log itself: who did what, when, in which request, with which facts.
    """
    message_id = parse_id(MESSAGE_PREFIX, subject)
    if message_id is None:
        fail(
            f"{subject} is not the id of a message: msg_ and 32 hexadecimal digits.",
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
