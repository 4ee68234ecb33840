"""The command `up`."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import rich_click as click

from semalink_ops.cli import exit_codes
from semalink_ops.cli.output import json_option, say, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option
from semalink_ops.settings import variable
from semalink_ops.up.own_files import QUICKSTART_FILE, own_folder
from semalink_ops.up.platform import Plan, Platform
from semalink_ops.up.ports import FOLLOWING_PORTS, Ports
from semalink_ops.up.quickstart import Quickstart

_WORKERS_MAX = 16
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command("up", epilog="Example: semalink up --port 9000 --data-dir /var/lib/semalink")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535 - FOLLOWING_PORTS),
    default=8080,
    show_default=True,
    help="Port of the API; the rest follow. 0 picks free ports.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, _WORKERS_MAX),
    default=1,
    show_default=True,
    envvar=variable("workers"),
    help="Processes that serve the API, and as many that send messages.",
)
@json_option
@data_dir_option
def up(*, port: int, workers: int, as_json: bool, data_dir: Path) -> None:
    """Run the whole platform on this machine.

    PostgreSQL, NATS, every process and a sandbox aggregator, with an account to try them.
    It prints how to send a first message, and writes quickstart.json into the data folder for
    scripts. Ctrl-C stops everything in order; a second one kills at once. Started again on the
    same folder, it goes on where it stopped.

    A server of yours is used instead when SEMALINK_DATABASE_URL or SEMALINK_NATS_URL names it.
    """
    began = time.monotonic()
    data_dir = data_dir.absolute()
    with own_folder(data_dir):
        ports = Ports.free(workers) if port == 0 else Ports.following(port, workers)
        ports.refuse_taken()
        platform = Platform(Plan(data_dir, ports, workers, os.environ), say)

        def tell(quickstart: Quickstart) -> None:
            say(f"Ready after {time.monotonic() - began:.1f} s.\n")
            if as_json:
                show_json(_without_secrets(quickstart))
            else:
                _show(quickstart, data_dir / QUICKSTART_FILE)

        asyncio.run(_run(platform, tell))
    say("Everything has stopped.")


async def _run(platform: Platform, tell: Callable[[Quickstart], None]) -> None:
    stop = asyncio.Event()

    def end() -> None:
        if stop.is_set():
            say("Killing everything.")
            platform.kill()
            os._exit(exit_codes.INTERRUPTED)
        say("\nStopping; Ctrl-C once more kills everything at once.")
        stop.set()

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, end)
    say("Starting PostgreSQL and NATS.")
    await platform.run(stop, tell)


def _without_secrets(quickstart: Quickstart) -> dict[str, object]:
    return {
        name: getattr(quickstart, name)
        for name in ("api_url", "dlr_url", "admin_url", "sandbox_url", "account_id", "sender")
    } | {"data_dir": quickstart.data_dir, "pids": quickstart.pids}


def _show(quickstart: Quickstart, path: Path) -> None:
    addresses = {
        "api": quickstart.api_url,
        "dlr-intake": quickstart.dlr_url,
        "admin": quickstart.admin_url,
        "sandbox": quickstart.sandbox_url,
    }
    show_table(
        ["Process", "Pid", "Address"],
        [[name, pid, addresses.get(name)] for name, pid in quickstart.pids.items()],
    )
    click.echo(
        _FIRST_MESSAGE.format(
            path=path, api=quickstart.api_url, sender=quickstart.sender, admin=quickstart.admin_url
        )
    )
    sys.stdout.flush()


_FIRST_MESSAGE = """
Send a first message, through the sandbox, which delivers to handsets that do not exist:

  KEY=$(python3 -c 'import json; print(json.load(open("{path}"))["api_key"])')
  curl -sS {api}/v1/messages \\
    -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\
    -H "Idempotency-Key: first-message" \\
    -d '{{"to": "+254711000001", "text": "Habari!", "sender": "{sender}"}}'

or, with its way to the handset: semalink send --to +254711000001 --text Habari --wait

Keys and addresses are in {path}. The API explains itself at {api}/docs.
Ctrl-C stops everything; nothing is lost.\
"""
