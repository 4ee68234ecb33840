"""Settling dead letters: republishing and discarding, one or many."""

from pathlib import Path

import rich_click as click
from uuid_utils.compat import uuid7

from semalink.application.dead_letter_reading import DeadLetterContents, DeadLetterView
from semalink.application.dead_letters import DiscardDeadLetter, JobPlan
from semalink.application.republishing import Edit, republishing_of
from semalink_ops.cli import exit_codes
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.dlq.bulk import run_job
from semalink_ops.cli.dlq.filters import filter_options, find
from semalink_ops.cli.failures import fail
from semalink_ops.cli.output import json_option, say, show_json
from semalink_ops.cli.settings_source import data_dir_option

_ID = "dlq_0198c0de5ca17000800000000000000a"
_file = click.Path(path_type=Path, exists=True, dir_okay=False)
_everything = click.option(
    "--all", "everything", is_flag=True, help="Every dead letter that waits and fits the filters."
)
_rate = click.option(
    "--rate",
    type=click.IntRange(1, 1_000),
    default=10,
    show_default=True,
    help="With --all: so many a second.",
)


@click.command("republish", epilog=f"Example: semalink dlq republish {_ID}")
@click.argument("letter", metavar="[DEAD_LETTER]", required=False)
@_everything
@filter_options
@_rate
@click.option("--payload", help="Publish this instead of what was buried, which is kept.")
@click.option("--payload-file", type=_file, help="Publish the bytes of this file instead.")
@click.option(
    "--report-body-file",
    type=_file,
    help="Apply the delivery report in this file instead of the stored one, which is kept.",
)
@click.option("--again", is_flag=True, help="Also one that was republished before.")
@json_option
@data_dir_option
def republish(  # noqa: PLR0913 - one argument an option
    *,
    letter: str | None,
    everything: bool,
    queue: str | None,
    error_type: str | None,
    older_than: int | None,
    newer_than: int | None,
    rate: int,
    payload: str | None,
    payload_file: Path | None,
    report_body_file: Path | None,
    again: bool,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Send dead letters round again: one, as it was or edited, or many at a rate.

    Each goes under a new id, so that the broker does not take it for one that it has seen; the
    work itself is still done once. Ctrl-C cancels what --all has not done yet.
    """
    edits = (payload, payload_file, report_body_file)
    if sum(each is not None for each in edits) > 1:
        fail("Give one of --payload, --payload-file and --report-body-file.", exit_codes.USAGE)
    plan = JobPlan("republish", queue, error_type, older_than, newer_than, rate)
    if letter is None:
        if again or any(each is not None for each in edits):
            fail("An edit, and --again, are for one dead letter.", exit_codes.USAGE)
        _bulk(plan, data_dir, everything=everything, as_json=as_json)
        return
    _check_one(plan, everything=everything)
    edit = Edit(
        payload_file.read_bytes()
        if payload_file
        else None
        if payload is None
        else payload.encode(),
        report_body_file.read_bytes() if report_body_file else None,
        again,
    )
    _show(_republish(letter, edit, data_dir), as_json=as_json)


@click.command("discard", epilog=f'Example: semalink dlq discard {_ID} --reason "a rehearsal"')
@click.argument("letter", metavar="[DEAD_LETTER]", required=False)
@_everything
@filter_options
@_rate
@click.option("--reason", required=True, help="Why, for auditors.")
@json_option
@data_dir_option
def discard(  # noqa: PLR0913 - one argument an option
    *,
    letter: str | None,
    everything: bool,
    queue: str | None,
    error_type: str | None,
    older_than: int | None,
    newer_than: int | None,
    rate: int,
    reason: str,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Decide that dead letters are not to be done: one, or many at a rate.

    What they hold stays readable. A message to be sent ends as expired when its time to live is
    over, and its credits are released. Ctrl-C cancels what --all has not done yet.
    """
    plan = JobPlan("discard", queue, error_type, older_than, newer_than, rate, reason)
    if letter is None:
        _bulk(plan, data_dir, everything=everything, as_json=as_json)
        return
    _check_one(plan, everything=everything)

    async def settle(database: Database) -> DeadLetterView:
        letter_id, _ = await find(database.pool, letter)
        await database.ledger.execute(DiscardDeadLetter(letter_id, reason, database.cause()))
        return (await find(database.pool, letter))[1].letter

    _show(run_on_database(data_dir, settle), as_json=as_json)


def _republish(letter: str, edit: Edit, data_dir: Path) -> DeadLetterView:
    async def send(database: Database) -> DeadLetterView:
        letter_id, found = await find(database.pool, letter)
        _check_report(found, edit)
        command = republishing_of(found, letter_id, edit, database.cause(), uuid7())
        await database.ledger.execute(command)
        return (await find(database.pool, letter))[1].letter

    return run_on_database(data_dir, send)


def _check_report(found: DeadLetterContents, edit: Edit) -> None:
    if edit.report_body is not None and found.report is None:
        fail(f"{found.letter.id} is about no stored report.", exit_codes.USAGE)


def _check_one(plan: JobPlan, *, everything: bool) -> None:
    filters = (plan.queue, plan.error_type, plan.older_than_seconds, plan.newer_than_seconds)
    if everything or any(each is not None for each in filters):
        fail("Name one dead letter, or use --all with filters; not both.", exit_codes.USAGE)


def _bulk(plan: JobPlan, data_dir: Path, *, everything: bool, as_json: bool) -> None:
    if not everything:
        fail("Name a dead letter, or use --all with filters.", exit_codes.USAGE)
    run_job(plan, data_dir, as_json=as_json)


def _show(letter: DeadLetterView, *, as_json: bool) -> None:
    if as_json:
        show_json(letter)
        return
    say(f"{letter.id} is {letter.state}.")
    if letter.state == "republishing":
        say(f"The relay publishes it; `semalink dlq show {letter.id}` tells when it has.")
