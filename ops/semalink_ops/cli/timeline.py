"""The steps of a message, oldest first."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import rich_click as click

from semalink_ops.cli.output import format_time, one_line, show_table


def show_timeline(steps: Sequence[Mapping[str, Any]]) -> None:
    """Print steps as the API and the event log give them: two lines each for a person."""
    if not sys.stdout.isatty():
        show_table(
            ["#", "At", "Name", "Actor", "Request", "Facts"],
            [
                [
                    step["sequence"],
                    format_time(_time(step["at"])),
                    step["name"],
                    step["actor"],
                    step["request_id"],
                    facts_line(step["data"]),
                ]
                for step in steps
            ],
        )
        return
    for step in steps:
        name = click.style(step["name"], bold=True)
        at = format_time(_time(step["at"]))
        click.echo(f"{step['sequence']:>2}  {at}  {name}  by {one_line(step['actor'])}")
        click.echo(f"    {click.style(facts_line(step['data']), dim=True)}")


def facts_line(facts: Mapping[str, Any]) -> str:
    """Return facts on one line, without those that say nothing."""
    return one_line(
        " ".join(f"{name}={fact}" for name, fact in facts.items() if fact not in (None, "", {}, []))
    )


def _time(at: datetime | str) -> datetime:
    return datetime.fromisoformat(at) if isinstance(at, str) else at
