"""Searches of the history: what is asked, page after page, and how rows are shown."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import rich_click as click

from semalink.application.history import REFUSED, HistoryFilter, HistoryRow
from semalink.domain.ids import DELIVERY_PREFIX, ENDPOINT_PREFIX, MESSAGE_PREFIX, parse_id
from semalink_adapters.postgres.archive_lookup import PostgresArchivedMonths
from semalink_ops.cli import exit_codes
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.failures import fail
from semalink_ops.cli.output import format_time, one_line, say, show_table
from semalink_ops.cli.timeline import facts_line

LIMIT_DEFAULT = 100
PAGE_ROWS = 200
CAMPAIGN_PREFIX = "cmp_"

_SUBJECTS = {
    "message": MESSAGE_PREFIX,
    "reservation": MESSAGE_PREFIX,
    "campaign": CAMPAIGN_PREFIX,
    "endpoint": ENDPOINT_PREFIX,
    "delivery": DELIVERY_PREFIX,
}


def search(wanted: Mapping[str, Any], data_dir: Path, *, as_json: bool) -> None:
    """Print what was asked for, following pages up to the limit."""
    subject_id = _subject(wanted)
    from_at, before_at = _moment("--from", wanted["from_at"]), _moment("--to", wanted["before_at"])
    name = _name(wanted)

    async def read(database: Database) -> tuple[list[HistoryRow], bool, str | None]:
        account = wanted["account"]
        asked = HistoryFilter(
            subject_id=subject_id,
            account_id=None if account is None else await database.account_id(account),
            actor=wanted["actor"],
            request_id=wanted["request"],
            name=name,
            from_at=from_at,
            before_at=before_at,
            is_newest_first=not wanted["oldest_first"],
        )
        rows, is_all = await _follow(database, asked, wanted["limit"])
        return rows, is_all, await _archived_within(database, asked)

    rows, is_all, archived_to = run_on_database(data_dir, read)
    _show(rows, as_json=as_json)
    if not is_all:
        say(f"There are more than these {len(rows)}: ask for more with --limit, or for less time.")
    elif not rows and not as_json:
        say("Nothing of that is recorded in that time.")
    if archived_to is not None:
        say(
            f"Months up to {archived_to} are archived: what messages and webhooks did in them is"
            " found by an id only, or after `semalink archive restore`."
        )


async def _archived_within(database: Database, asked: HistoryFilter) -> str | None:
    """Return the last archived month that a search should have looked into and could not."""
    if asked.subject_id is not None or asked.from_at is None:
        return None
    last = await PostgresArchivedMonths(database.pool).last_archived_month()
    return last if last is not None and f"{asked.from_at:%Y-%m}" <= last else None


async def _follow(
    database: Database, asked: HistoryFilter, limit: int
) -> tuple[list[HistoryRow], bool]:
    rows: list[HistoryRow] = []
    place = None
    while len(rows) < limit:
        page = await database.history.page(asked, place, min(PAGE_ROWS, limit - len(rows)))
        rows += page.rows
        place = page.next
        if place is None:
            return rows, True
        if sys.stderr.isatty() and len(rows) < limit:
            click.echo(f"\rLooked through to {format_time(place.at)}", nl=False, err=True)
    if sys.stderr.isatty():
        click.echo("\r\x1b[2K", nl=False, err=True)
    return rows, False


def _subject(wanted: Mapping[str, Any]) -> UUID | None:
    given = {name: wanted[name] for name in _SUBJECTS if wanted.get(name) is not None}
    subjects = {parse_id(_SUBJECTS[name], text) for name, text in given.items()}
    if None in subjects:
        names = ", ".join(f"{text}" for text in given.values())
        fail(
            f"{names} is not an id: msg_, cmp_, whe_ or whk_ and 32 hexadecimal digits.",
            exit_codes.USAGE,
        )
    if len(subjects) > 1:
        fail(
            "Ask for one message, reservation, campaign, endpoint or delivery at once.",
            exit_codes.USAGE,
        )
    return next(iter(subjects), None)


def _name(wanted: Mapping[str, Any]) -> str | None:
    name: str | None = wanted["name"]
    if not wanted["refused"]:
        return name
    if name is not None and name.partition(".")[0] != REFUSED:
        fail(f"With --refused, a name begins with {REFUSED}.", exit_codes.USAGE)
    return name or REFUSED


def _moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        fail(
            f"{option} {text} is not a time: write 2026-11-24 or 2026-11-24T08:15:00+03:00.",
            exit_codes.USAGE,
        )
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _show(rows: list[HistoryRow], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            click.echo(msgspec.json.encode(row).decode())
        return
    if not sys.stdout.isatty():
        _show_columns(rows)
        return
    for row in rows:
        name = click.style(row.name, bold=True)
        click.echo(f"{format_time(row.at)}  {name}  by {one_line(row.actor)}  {_whose(row)}")
        why = " ".join(one_line(part) for part in (row.reason, row.detail) if part)
        if why:
            click.echo(f"    why: {why}")
        facts = click.style(f"{_change(row)} in {one_line(row.request_id)}", dim=True)
        click.echo(f"    {facts}")


def _show_columns(rows: list[HistoryRow]) -> None:
    show_table(
        ["At", "Name", "Actor", "Account", "Message", "Request", "Reason", "Detail", "Facts"],
        [
            [
                row.at, row.name, row.actor, row.account_id, row.message_id, row.request_id,
                row.reason, row.detail, _change(row),
            ]
            for row in rows
        ],
    )  # fmt: skip


def _whose(row: HistoryRow) -> str:
    return row.message_id or row.account_id or ""


def _change(row: HistoryRow) -> str:
    """Return the facts; with what was there before, for a change."""
    line = facts_line(row.facts)
    return f"{line} (before: {facts_line(row.before)})" if row.before else line
