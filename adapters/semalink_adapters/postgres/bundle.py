"""Several inserts as one statement: each statement costs a turn of the driver and of the server."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from psycopg import Cursor


class Bundle:
    """Collects inserts into different tables and sends them together.

    They see one snapshot and not each other, so none may touch a row that another one writes.
    """

    __slots__ = ("_parameters", "_statements")

    def __init__(self) -> None:
        self._statements: list[str] = []
        self._parameters: list[Any] = []

    def add(self, statement: str, parameters: Sequence[Any]) -> None:
        """Take in one insert."""
        self._statements.append(statement)
        self._parameters.extend(parameters)

    def send(self, curs: Cursor[Any]) -> None:
        """Execute what was collected, if there is anything."""
        if self._statements:
            curs.execute(_joined(tuple(self._statements)), self._parameters, prepare=True)


@cache
def _joined(statements: tuple[str, ...]) -> str:
    parts = ", ".join(f"part_{number} AS ({text})" for number, text in enumerate(statements))
    return f"WITH {parts} SELECT"
