"""Shows on a terminal how far a read model has been built, with its rate and the time left."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from semalink.projections.shadow import Progress as Standing


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f} events/s")


@contextmanager
def shown_rows(title: str) -> Iterator[Callable[[int], None]]:
    """Yield what is told how many rows went by; nothing is shown but on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}"))
    with Progress(*columns, _Rate(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda row_count: bar.advance(task, row_count)


@contextmanager
def shown_progress(title: str) -> Iterator[Callable[[Standing], None]]:
    """Yield what is told of each page; nothing is shown but on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def tell(standing: Standing) -> None:
            total = max(standing.events_expected, standing.event_count) or None
            bar.update(task, completed=standing.event_count, total=total)

        yield tell
