"""The command `reports`: delivery reports that match no message."""

from datetime import timedelta
from pathlib import Path

import msgspec
import rich_click as click

from semalink.application.orphan_reports import (
    AttachReport,
    DiscardReport,
    Orphan,
    OrphanDetail,
    OrphanView,
    detail_of_orphan,
    parse_place,
    view_of_orphan,
)
from semalink.domain.errors import MessageNotFound
from semalink.domain.ids import MESSAGE_PREFIX, parse_id
from semalink.domain.report_errors import OrphanReportNotFound
from semalink.domain.status import Status
from semalink_adapters.postgres.orphan_reports import PostgresOrphans
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.output import json_option, say, show_facts, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option
from semalink_ops.runtime import utc_now

_ID = "rpt_0193a5c301b07c3e8f21b6a4d9e0aaaa"


@click.group("reports")
def reports() -> None:
    """Show delivery reports that match no message, and settle them."""


@reports.command(
    "orphans", epilog="Example: semalink reports orphans --aggregator celcom --older-than 3600"
)
@click.option("--aggregator", help="Only reports of this aggregator.")
@click.option(
    "--older-than",
    "min_age_seconds",
    type=click.IntRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Only reports that have lain there for so long.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000),
    default=100,
    show_default=True,
    help="At most so many.",
)
@json_option
@data_dir_option
def orphans(
    *, aggregator: str | None, min_age_seconds: int, limit: int, as_json: bool, data_dir: Path
) -> None:
    """List reports that match no message, oldest first."""

    async def read(database: Database) -> list[OrphanView]:
        shelved_before = utc_now() - timedelta(seconds=min_age_seconds)
        found = await PostgresOrphans(database.pool).orphans(
            aggregator, shelved_before=shelved_before, after=None, limit=limit
        )
        return [view_of_orphan(orphan) for orphan in found]

    found = run_on_database(data_dir, read)
    if as_json:
        show_json({"items": found})
        return
    show_table(
        ["Id", "Aggregator", "Reference", "State", "In its words", "To", "Shelved at"],
        [
            [one.id, one.aggregator, one.reference, one.state, one.description, one.to,
             one.shelved_at]
            for one in found
        ],
    )  # fmt: skip


@reports.command("show", epilog=f"Example: semalink reports show {_ID}")
@click.argument("report_id", metavar="REPORT")
@json_option
@data_dir_option
def show(*, report_id: str, as_json: bool, data_dir: Path) -> None:
    """Show a report with the body that it came in, which names the recipient."""

    async def read(database: Database) -> OrphanDetail:
        return detail_of_orphan(await _orphan(database, report_id))

    found = run_on_database(data_dir, read)
    if as_json:
        show_json(found)
        return
    show_facts(msgspec.structs.asdict(found))


@reports.command(
    "attach",
    epilog=f"Example: semalink reports attach {_ID} msg_0198c0de5ca17000800000000000000a "
    '--reason "shown on their page"',
)
@click.argument("report_id", metavar="REPORT")
@click.argument("message_id", metavar="MESSAGE")
@click.option("--reason", required=True, help="How it is known, for auditors.")
@json_option
@data_dir_option
def attach(*, report_id: str, message_id: str, reason: str, as_json: bool, data_dir: Path) -> None:
    """Give a report to the message that it is about; money follows the same rules."""

    async def give(database: Database) -> Status:
        orphan = await _orphan(database, report_id)
        found = parse_id(MESSAGE_PREFIX, message_id)
        payer_id = found and await PostgresOrphans(database.pool).billing_account_of(found)
        if found is None or payer_id is None:
            raise MessageNotFound
        command = AttachReport(orphan.parsed, found, payer_id, reason, database.cause())
        return (await database.ledger.execute(command)).value

    status = run_on_database(data_dir, give)
    if as_json:
        show_json({"id": report_id, "message_id": message_id, "status": status.value})
        return
    say(f"{message_id} is {status.value} now.")


@reports.command(
    "discard", epilog=f'Example: semalink reports discard {_ID} --reason "of another platform"'
)
@click.argument("report_id", metavar="REPORT")
@click.option("--reason", required=True, help="Why, for auditors.")
@json_option
@data_dir_option
def discard(*, report_id: str, reason: str, as_json: bool, data_dir: Path) -> None:
    """Put a report away that is about nothing of ours; what came stays kept."""

    async def put_away(database: Database) -> None:
        orphan = await _orphan(database, report_id)
        await database.ledger.execute(DiscardReport(orphan.parsed, reason, database.cause()))

    run_on_database(data_dir, put_away)
    if as_json:
        show_json({"id": report_id, "discarded": True})
        return
    say(f"{report_id} is off the shelf.")


async def _orphan(database: Database, report_id: str) -> Orphan:
    orphan = await PostgresOrphans(database.pool).orphan(parse_place(report_id))
    if orphan is None:
        raise OrphanReportNotFound
    return orphan
