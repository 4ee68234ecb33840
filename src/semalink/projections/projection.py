"""What a read model declares: its tables, the log it reads, and how it applies a page of events."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from string import Template
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, TextClause, text


class Recorded(NamedTuple):
    """An event as its log holds it."""

    originator_id: UUID
    version: int
    recorded_at: datetime
    event: Any


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it is made anew; a migration makes the first live one and must say the same."""

    name: str
    #: What stands between the brackets of CREATE TABLE, without the primary key.
    columns: str
    #: The columns of the primary key.
    key: tuple[str, ...]
    #: By name, what follows ON and the table; made after a new table was loaded.
    indexes: Mapping[str, str] = field(default_factory=dict)
    #: Storage parameters, such as "fillfactor = 80".
    storage: str = ""


#: Reads what came in each stream before a version.
Earlier = Callable[[Connection, Mapping[UUID, int]], Sequence[Recorded]]


def _nothing_came_before(_: Connection, __: Mapping[UUID, int]) -> Sequence[Recorded]:
    return ()


@dataclass(frozen=True, slots=True)
class Target:
    """Which set of tables is written: the live one, or one that is being built beside it."""

    #: What the names of its tables end in; "" is the live set.
    suffix: str = ""
    #: True while nothing of the streams of a page is in the tables yet.
    is_new: bool = False
    #: Reads what came in the streams of a page before it, for folds that must know.
    earlier: Earlier = _nothing_came_before

    def name(self, table: str) -> str:
        """Return the name that a table has in this set."""
        return table + self.suffix

    def statement(self, template: str) -> TextClause:
        """Return a statement in which ``$name`` stands for the table of that name."""
        return _statement(template, self.suffix)


LIVE = Target()

Project = Callable[[Sequence[Recorded], Connection, Target], None]


@dataclass(frozen=True, slots=True)
class Projection:
    """A read model; its fold must give the same rows however the log is cut into pages.

    Events of one stream come in the order of their versions, also across pages.
    """

    name: str
    #: ledger_entries, message_events or admin_events.
    log: str
    tables: tuple[Table, ...]
    project: Project
    #: Whether a new table is loaded with pages that hold every event of their streams so far; then
    #: ``target.is_new`` tells ``project`` that it may insert without looking.
    loads_whole_streams: bool = False
    #: The column, in every table, that holds the id of the stream that made a row; None when a row
    #: is made of many streams, so that no sample of streams can be compared.
    stream_column: str | None = None
    #: Whether it still counts the events of months that were archived; otherwise its rows of a
    #: month are deleted when that is archived.
    counts_archived: bool = True

    def schema_hash(self) -> str:
        """Return what tells the tables of one release from those of another."""
        ddl = "\n".join([*create_tables(self, "", logged=True), *create_indexes(self, "")])
        return hashlib.sha256(ddl.encode()).hexdigest()


def create_tables(projection: Projection, suffix: str, *, logged: bool) -> Iterator[str]:
    """Yield the statements that make a set of tables with their primary keys."""
    kind = "TABLE" if logged else "UNLOGGED TABLE"
    for table in projection.tables:
        name = table.name + suffix
        key = ", ".join(table.key)
        storage = f" WITH ({table.storage})" if table.storage else ""
        yield (
            f"CREATE {kind} {name} ({table.columns},"
            f" CONSTRAINT {name}_pkey PRIMARY KEY ({key})){storage}"
        )


def create_indexes(projection: Projection, suffix: str) -> Iterator[str]:
    """Yield the statements that make the other indexes of a set of tables."""
    for table in projection.tables:
        for name, definition in table.indexes.items():
            yield f"CREATE INDEX {name}{suffix} ON {table.name}{suffix} {definition}"


@cache
def _statement(template: str, suffix: str) -> TextClause:
    return text(Template(template).substitute(_Suffixed(suffix)))


class _Suffixed(dict[str, str]):
    """Every name with the suffix."""

    def __init__(self, suffix: str) -> None:
        super().__init__()
        self._suffix = suffix

    def __missing__(self, name: str) -> str:
        return name + self._suffix
