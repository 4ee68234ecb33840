"""Looking at dead letters: the list, the groups, one of them."""

import base64
from collections.abc import Sequence
from pathlib import Path

import msgspec
import rich_click as click

from semalink.application.dead_letter_reading import (
    DeadLetterContents,
    DeadLetterFilter,
    DeadLetterGroup,
    DeadLetterView,
)
from semalink.application.reading import EventView
from semalink.domain.ids import MESSAGE_PREFIX, parse_id
from semalink_adapters.postgres.dead_letters import PostgresDeadLetters
from semalink_ops.cli.database import Database, run_on_database
from semalink_ops.cli.dlq.filters import bounds, filter_options, find
from semalink_ops.cli.output import json_option, say, show_facts, show_json, show_table
from semalink_ops.cli.settings_source import data_dir_option
from semalink_ops.cli.timeline import show_timeline
from semalink_ops.runtime import utc_now

_STATES = ("waiting", "republishing", "republished", "discarded", "any")


@click.command("list", epilog="Example: semalink dlq list --queue sms.normal --older-than 15m")
@filter_options
@click.option(
    "--state",
    type=click.Choice(_STATES),
    default="waiting",
    show_default=True,
    help="Only those that stand so.",
)
@click.option("--groups", is_flag=True, help="Count what waits by queue and error instead.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000),
    default=100,
    show_default=True,
    help="At most so many.",
)
@json_option
@data_dir_option
def list_letters(  # noqa: PLR0913 - one argument an option
    *,
    queue: str | None,
    error_type: str | None,
    older_than: int | None,
    newer_than: int | None,
    state: str,
    groups: bool,
    limit: int,
    as_json: bool,
    data_dir: Path,
) -> None:
    """List dead letters, or count them by queue and error."""
    before_at, from_at = bounds(utc_now(), older_than, newer_than)
    wanted = None if groups or state == "any" else state
    asked = DeadLetterFilter(queue, error_type, wanted, before_at, from_at)

    async def read(
        database: Database,
    ) -> tuple[Sequence[DeadLetterGroup], Sequence[DeadLetterView]]:
        reads = PostgresDeadLetters(database.pool)
        if groups:
            return await reads.groups(asked), ()
        return (), await reads.page(asked, before=None, limit=limit)

    counted, found = run_on_database(data_dir, read)
    if as_json:
        show_json({"items": counted if groups else found, "next_cursor": None})
    elif groups:
        show_table(
            ["Queue", "Error type", "Error", "Count", "Oldest", "Newest"],
            [[g.queue, g.error_type, g.error, g.count, g.oldest_at, g.newest_at] for g in counted],
        )
    else:
        _show_letters(found, limit)


@click.command("show", epilog="Example: semalink dlq show dlq_0198c0de5ca17000800000000000000a")
@click.argument("letter", metavar="DEAD_LETTER")
@json_option
@data_dir_option
def show(*, letter: str, as_json: bool, data_dir: Path) -> None:
    """Show what a dead letter holds, why it is one, and what was done."""

    async def read(database: Database) -> tuple[DeadLetterContents, list[EventView]]:
        _, found = await find(database.pool, letter)
        message_id = parse_id(MESSAGE_PREFIX, found.letter.about or "")
        steps = None
        if message_id is not None:
            steps = await database.reads.history(message_id, None)
        return found, steps or []

    found, steps = run_on_database(data_dir, read)
    if as_json:
        show_json(
            {
                **msgspec.structs.asdict(found.letter),
                "subject": found.subject,
                "payload": _json_bytes(found.payload),
                "edited_payload": found.edited_payload and _json_bytes(found.edited_payload),
                "headers": found.headers,
                "report": found.report
                and {
                    **msgspec.structs.asdict(found.report),
                    "body": _json_bytes(found.report.body),
                },
                "actions": found.actions,
                "message_events": steps,
            }
        )
        return
    _show_contents(found)
    if steps:
        say(f"What became of {found.letter.about}:")
        show_timeline([msgspec.structs.asdict(step) for step in steps])


def _show_letters(found: Sequence[DeadLetterView], limit: int) -> None:
    show_table(
        ["Id", "Queue", "State", "Error type", "Error", "Tries", "Given up", "About"],
        [
            [
                one.id,
                one.queue,
                one.state,
                one.error_type,
                one.error,
                one.delivery_count,
                one.last_at,
                one.about,
            ]
            for one in found
        ],
    )
    if len(found) == limit:
        say("There may be more: ask for more with --limit, or for fewer with --queue.")


def _show_contents(found: DeadLetterContents) -> None:
    facts = msgspec.structs.asdict(found.letter)
    facts["subject"] = found.subject
    facts["payload"] = _text(found.payload)
    if found.edited_payload is not None:
        facts["edited_payload"] = _text(found.edited_payload)
    if found.report is not None:
        facts["report_aggregator"] = found.report.aggregator
        facts["report_content_type"] = found.report.content_type
        facts["report_body"] = _text(found.report.body)
    show_facts({name: fact for name, fact in facts.items() if fact not in (None, "")})
    say("Headers:")
    show_facts(found.headers)
    say("What was done:")
    show_table(
        ["At", "Name", "Actor", "Request", "Edited", "Reason"],
        [
            [one.at, one.name, one.actor, one.request_id, one.edited or None, one.reason]
            for one in found.actions
        ],
    )


def _text(content: bytes) -> str:
    encoding, text = _told(content)
    return text if encoding == "text" else f"base64:{text}"


def _json_bytes(content: bytes) -> dict[str, str]:
    encoding, text = _told(content)
    return {"encoding": encoding, "content": text}


def _told(content: bytes) -> tuple[str, str]:
    try:
        return "text", content.decode()
    except UnicodeDecodeError:
        return "base64", base64.b64encode(content).decode()
