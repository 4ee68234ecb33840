"""Poison on purpose, where only a sandbox would suffer from it."""

import asyncio
from pathlib import Path

import msgspec
import rich_click as click
from uuid_utils.compat import uuid7

from semalink.application.relaying import ReportPayload
from semalink.domain.routing import TEST_ROUTE
from semalink_adapters.jetstream.bus import JetStreamBus
from semalink_adapters.jetstream.streams import DLR_INBOUND, QUEUES, Queue
from semalink_ops.bootstrap import open_connection
from semalink_ops.cli import exit_codes
from semalink_ops.cli.dlq.filters import QUEUE_NAMES
from semalink_ops.cli.failures import fail
from semalink_ops.cli.output import json_option, say, show_json
from semalink_ops.cli.quiet import silence_logs
from semalink_ops.cli.settings_source import data_dir_option, read_settings
from semalink_ops.runtime import utc_now
from semalink_ops.settings import Settings

_CONNECT_SECONDS = 5.0
_UNREADABLE = b'{"message_id": "nobody can read this'
_GARBLED_REPORT = b'{"messageID": "cut off in the middl'


@click.command("poison", epilog="Example: semalink dlq poison dlr.inbound")
@click.argument("queue", type=click.Choice(QUEUE_NAMES))
@json_option
@data_dir_option
def poison(*, queue: str, as_json: bool, data_dir: Path) -> None:
    """Put what nobody can read into a queue of a sandbox, to rehearse what follows.

    The worker of the queue makes a dead letter of it within a second; a queue whose worker does
    not run keeps it. Refused where SEMALINK_SANDBOX_DLR_SECRET is unset: there is no sandbox.
    """
    settings = read_settings(data_dir)
    if settings.sandbox_dlr_secret is None:
        fail(
            "This installation has no sandbox, so that real work would be behind the poison. "
            "Rehearse on one that `semalink up` runs.",
            exit_codes.NOT_ALLOWED,
        )
    silence_logs()
    [target] = [one for one in QUEUES if one.name == queue]
    message_id = asyncio.run(_publish(settings, target))
    if as_json:
        show_json({"queue": queue, "message_id": message_id})
    else:
        say(f"Poison lies in {queue}. Next: semalink dlq list")


async def _publish(settings: Settings, queue: Queue) -> str:
    poison_id = uuid7()
    message_id, payload = f"poison:{poison_id.hex}", _UNREADABLE
    if queue is DLR_INBOUND:
        # As the intake publishes one while the database is away, so that it is one letter.
        message_id = poison_id.hex
        route = "celcom" if settings.celcom_partner_id else TEST_ROUTE
        payload = msgspec.json.encode(
            ReportPayload(poison_id, route, "application/json", _GARBLED_REPORT, utc_now())
        )
    async with open_connection(settings, "cli") as connection:
        if not await connection.wait_ready(_CONNECT_SECONDS):
            fail("The broker does not answer.", exit_codes.UNAVAILABLE)
        subject = queue.subject.replace(">", "00")
        outcome = await JetStreamBus(connection).publish(subject, payload, message_id=message_id)
    if not outcome.stored:
        fail(f"The broker did not take it: {outcome.reason}.", exit_codes.UNAVAILABLE)
    return message_id
