"""The command line: one program, a sub-command for every process and every task."""

import os
import sys
from typing import NoReturn

import rich_click as click

from semalink_ops.cli import exit_codes
from semalink_ops.cli.death import die_with
from semalink_ops.cli.failures import CommandFailed, to_command_failed
from semalink_ops.cli.lazy import LazyGroup, Place

_COMMANDS = {
    "up": Place("semalink_ops.cli.up", "up", "Run the whole platform on this machine."),
    "send": Place("semalink_ops.cli.send", "send", "Send one message through the API."),
    "history": Place(
        "semalink_ops.cli.history",
        "history",
        "Show every step of a message, or who did what, when and why.",
    ),
    "account": Place(
        "semalink_ops.cli.account",
        "account",
        "Open, list and credit accounts, and set their terms.",
    ),
    "ledger": Place("semalink_ops.cli.ledger", "ledger", "Check, replay and export the ledger."),
    "key": Place("semalink_ops.cli.key", "key", "Create, list and revoke API keys."),
    "webhooks": Place(
        "semalink_ops.cli.webhooks",
        "webhooks",
        "Show what was sent to customers' endpoints, and send it again.",
    ),
    "dlq": Place(
        "semalink_ops.cli.dlq", "dlq", "List, inspect, republish and discard dead letters."
    ),
    "reports": Place(
        "semalink_ops.cli.reports",
        "reports",
        "Show delivery reports that match no message, and settle them.",
    ),
    "campaign": Place(
        "semalink_ops.cli.campaign",
        "campaign",
        "Show how campaigns stand, and what may be wrong with them.",
    ),
    "routes": Place(
        "semalink_ops.cli.routes",
        "routes",
        "Show how routes to aggregators do, and override them.",
    ),
    "outage": Place(
        "semalink_ops.cli.outage",
        "outage",
        "Switch an aggregator of the sandbox off and on, or show which is off.",
    ),
    "partitions": Place(
        "semalink_ops.cli.partitions",
        "partitions",
        "Make the monthly partitions of the logs ahead, and list them.",
    ),
    "archive": Place(
        "semalink_ops.cli.archive",
        "archive",
        "Move old months of events into object storage, and back.",
    ),
    "doctor": Place(
        "semalink_ops.cli.doctor", "doctor", "Check the installation and say how to mend it."
    ),
    "migrate": Place(
        "semalink_ops.cli.migrate", "migrate", "Bring the database to the schema of this release."
    ),
    "api": Place("semalink_ops.cli.servers", "api", "Serve the customers' API."),
    "dlr-intake": Place(
        "semalink_ops.cli.servers", "dlr_intake", "Take delivery reports from aggregators."
    ),
    "admin": Place("semalink_ops.cli.servers", "admin", "Serve the admin API."),
    "worker": Place(
        "semalink_ops.cli.workers",
        "worker",
        "Run a worker: sms, dlr, webhooks, contacts or content.",
    ),
    "relay": Place(
        "semalink_ops.cli.workers", "relay", "Carry work from the event log to the broker."
    ),
    "scheduler": Place(
        "semalink_ops.cli.workers",
        "scheduler",
        "Start campaigns that are due, and bring them to their end.",
    ),
    "projector": Place("semalink_ops.cli.workers", "projector", "Keep the read models up to date."),
    "projections": Place(
        "semalink_ops.cli.projections", "projections", "List, rebuild and verify the read models."
    ),
    "sandbox": Place(
        "semalink_ops.cli.servers", "sandbox", "Run a local aggregator that sends nothing."
    ),
}


@click.group(
    "semalink",
    cls=LazyGroup,
    places=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with `semalink up`; it prints how to send a first message.",
)
@click.version_option(package_name="semalink")
@click.option("--parent-pid", type=int, hidden=True)
def cli(parent_pid: int | None) -> None:
    """SemaLink: an SMS platform on an event-sourced credit ledger."""
    if parent_pid is not None:
        die_with(parent_pid)


def main() -> NoReturn:
    """Run the command line and exit as it says."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit status; what fails is said on stderr."""
    try:
        status = cli.main(arguments, prog_name="semalink", standalone_mode=False)
    except click.ClickException as failure:
        return _show(failure)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not flush it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.OK
    except Exception as error:  # noqa: BLE001 - the one place that ends the program on a bug
        expected = to_command_failed(error)
        return _show(expected) if expected else _show_bug(error)
    return status if isinstance(status, int) else exit_codes.OK


def _show(failure: click.ClickException) -> int:
    if isinstance(failure, CommandFailed):
        click.echo(f"Error: {failure.format_message()}", err=True)
    else:
        failure.show()
    return failure.exit_code


def _show_bug(error: Exception) -> int:
    if sys.excepthook is not sys.__excepthook__:
        # A process of ours writes it to its log, with nothing personal in it.
        sys.excepthook(type(error), error, error.__traceback__)
    else:
        click.echo(f"Error: this is a bug: {type(error).__name__}: {error}", err=True)
    return exit_codes.FAILED
