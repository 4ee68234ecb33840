"""The command `ledger verify`."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg
import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from semalink.application.ledger_findings import Finding, Kind
from semalink.domain.ids import ACCOUNT_PREFIX, format_id, parse_id
from semalink_adapters.postgres.checkpoint_audit import audit_checkpoints
from semalink_adapters.postgres.ledger_streams import Snapshot
from semalink_adapters.postgres.month_audit import audit_months
from semalink_adapters.postgres.projection_drift import audit_projections
from semalink_ops.cli import exit_codes
from semalink_ops.cli.failures import end_with, fail
from semalink_ops.cli.output import json_option, one_line, say
from semalink_ops.cli.settings_source import data_dir_option, read_settings
from semalink_ops.signing import known_keys


class Moment(click.ParamType[datetime]):
    """An instant in ISO 8601; without a zone it is UTC."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the instant."""
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value} is no time such as 2026-11-25T12:00:00Z.", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Summary(msgspec.Struct, kw_only=True):
    """What a verification came to."""

    ok: bool
    entries: int
    findings: dict[str, int]
    #: So many checkpoints are beyond the budget for recomputing their roots.
    roots_left: int


class Tell(NamedTuple):
    """Whom a verification tells how far it is, and what it left."""

    advance: Callable[[int], None]
    roots_left: Callable[[int], None]


@click.command("verify", epilog="Example: semalink ledger verify --since 2026-11-25T00:00:00Z")
@click.option("--account", "account", metavar="ACCOUNT", help="Verify one account only.")
@click.option(
    "--since",
    type=Moment(),
    help="Take what was recorded before for proven, and go on from the balances then.",
)
@json_option
@data_dir_option
def verify(*, account: str | None, since: datetime | None, as_json: bool, data_dir: Path) -> None:
    """Recompute the ledger from its entries, and compare everything that is kept of it.

    Hash chains, balances, heads, open reservations, read models, closed months and signed
    checkpoints, all as they are at one instant. Ends with status 1 when anything is not as it
    must be.
    """
    account_id = None if account is None else parse_id(ACCOUNT_PREFIX, account)
    if account is not None and account_id is None:
        fail(f"{account} is not the id of an account.", exit_codes.USAGE)
    settings = read_settings(data_dir)
    keys = known_keys(settings)
    if not keys:
        say("No signing key is set: signatures are checked by the keys stored with them.")
    counts: Counter[str] = Counter()
    read = Counter[str]()
    with psycopg.connect(
        settings.database_url.reveal(), connect_timeout=5, application_name="semalink-verify"
    ) as connection:
        Snapshot.begin(connection)
        snapshot = Snapshot(connection, account_id, since)
        if account_id is not None and not snapshot.is_known():
            fail(
                f"The ledger holds nothing of {account}; a customer of an agent is in the books of"
                " the agent.",
                exit_codes.NOT_FOUND,
            )
        with progress_over(snapshot.count(), read) as advance:
            tell = Tell(advance, lambda count: read.update(roots_left=count))
            for finding in _audit(connection, snapshot, (account_id, since), keys, tell):
                counts[finding.kind] += 1
                click.echo(_json(finding) if as_json else _line(finding))
    summary = Summary(
        ok=not counts,
        entries=read["entries"],
        findings=dict(counts),
        roots_left=read["roots_left"],
    )
    click.echo(_json(summary) if as_json else _in_words(summary))
    if counts:
        end_with(exit_codes.FAILED)


@contextmanager
def progress_over(total: int, read: Counter[str]) -> Iterator[Callable[[int], None]]:
    """Show how far a command is, on a terminal; yields what counts entries."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("Entries", total=total)

        def advance(count: int) -> None:
            read["entries"] += count
            progress.advance(task, count)

        yield advance


def _audit(
    connection: psycopg.Connection[Any],
    snapshot: Snapshot,
    scope: tuple[UUID | None, datetime | None],
    keys: frozenset[bytes],
    tell: Tell,
) -> Iterator[Finding]:
    account_id, since = scope
    readable = True
    for finding in snapshot.audit(tell.advance):
        readable = readable and finding.kind is not Kind.UNREADABLE_ENTRY
        yield finding
    if readable:
        yield from audit_projections(connection, account_id)
        yield from audit_months(connection, account_id, since)
    else:
        say("Read models and closed months were not compared, because an entry cannot be read.")
    for finding in audit_checkpoints(connection, keys, since, tell_left=tell.roots_left):
        if account_id is None or finding.account_id in ("", account_id.hex):
            yield finding


def _in_words(summary: Summary) -> str:
    said = ", ".join(f"{count} {kind}" for kind, count in sorted(summary.findings.items()))
    left = f" The roots of {summary.roots_left} older checkpoints were not recomputed."
    entries = f"{summary.entries} entries verified: {said or 'nothing is wrong'}."
    return entries + (left if summary.roots_left else "")


def _json(answer: Any) -> str:
    return msgspec.json.encode(answer).decode()


def _line(finding: Finding) -> str:
    where = []
    if finding.account_id:
        where.append(format_id(ACCOUNT_PREFIX, UUID(finding.account_id)))
    if finding.version:
        where.append(f"entry {finding.version}")
    if finding.reservation_id:
        where.append(f"reservation {finding.reservation_id}")
    if finding.checkpoint:
        where.append(f"checkpoint {finding.checkpoint}")
    if finding.projection:
        where.append(f"read model {finding.projection}")
    return one_line(f"{finding.kind}: {', '.join(where)}: {finding.detail}")
