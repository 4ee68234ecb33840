"""What commands print: answers to stdout, everything said about them to stderr."""

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

F = TypeVar("F", bound=Callable[..., Any])

_NOTHING = "-"


def json_option(command: F) -> F:
    """Add the option that makes a command print JSON for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)


def say(sentence: str) -> None:
    """Tell a person something that is not the answer itself."""
    click.echo(sentence, err=True)


def show_json(answer: Any) -> None:
    """Print one JSON document; over several lines for a person."""
    encoded = msgspec.json.encode(answer)
    if sys.stdout.isatty():
        encoded = msgspec.json.format(encoded, indent=2)
    click.echo(encoded.decode())


def show_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows: aligned for a person, with tabs between for anything else."""
    texts = [[_text(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for line in ([column.lower() for column in columns], *texts):
            click.echo("\t".join(line))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in texts:
        # Square brackets in what customers wrote are no markup.
        table.add_row(*(cell.replace("[", "\\[") for cell in row))
    Console().print(table)


def show_facts(facts: Mapping[str, Any]) -> None:
    """Print names and what they stand for, a line each."""
    width = max(len(name) for name in facts) if sys.stdout.isatty() else 0
    for name, fact in facts.items():
        gap = "  " if width else "\t"
        click.echo(f"{name.ljust(width)}{gap}{_text(fact)}")


def format_time(at: datetime) -> str:
    """Return a time in UTC with milliseconds, one width for all."""
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"


def one_line(text: str) -> str:
    """Return a text without what could rewrite the terminal that shows it."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _text(cell: Any) -> str:
    if cell is None:
        return _NOTHING
    return format_time(cell) if isinstance(cell, datetime) else one_line(str(cell))
