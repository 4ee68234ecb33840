"""The steps of a message as a table."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from semalink_ops.cli.output import show_table


def show_timeline(steps: Sequence[Mapping[str, Any]]) -> None:
    """Print steps as the API and the event log give them, oldest first."""
    show_table(
        ["#", "At (UTC)", "Actor", "Request", "Name", "Facts"],
        [
            [
                step["sequence"],
                _time(step["at"]),
                step["actor"],
                step["request_id"],
                step["name"],
                facts_line(step["data"]),
            ]
            for step in steps
        ],
    )


def facts_line(facts: Mapping[str, Any]) -> str:
    """Return facts on one line, without those that say nothing."""
    return " ".join(
        f"{name}={fact}" for name, fact in facts.items() if fact not in (None, "", {}, [])
    )


def _time(at: datetime | str) -> datetime:
    return datetime.fromisoformat(at) if isinstance(at, str) else at
