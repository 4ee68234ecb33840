"""What the worker of contacts does: checks pieces of files, and closes imports behind them."""

import asyncio
from collections.abc import Callable, Mapping
from uuid import UUID

import structlog

from semalink.application.bus import NotReady
from semalink.application.contacts import END_TASK, LIST_DELETED, PIECE_TASK, EndContactImport
from semalink.application.ledger import Ledger, LedgerUnavailable
from semalink.application.tasks import Task, TaskWork
from semalink.domain.cause import Cause
from semalink.domain.contact_import import RowCounts
from semalink.domain.contact_rows import CheckedRows, check_csv, check_ndjson
from semalink.domain.ids import CONTACT_IMPORT_PREFIX, format_id
from semalink_adapters.postgres.contact_imports import LoadedPiece, PostgresContactImports
from semalink_ops.runtime import new_request_id, utc_now

ACTOR = "worker:contacts"

_log = structlog.get_logger(__name__)


class ContactImporter:
    """Works imports off, piece after piece: the next one is asked for with the effect of one.

    So rows that name the same number are merged in the order of their lines, and an import ends
    once, behind its last piece, whatever dies on the way.
    """

    def __init__(
        self,
        imports: PostgresContactImports,
        ledger: Ledger,
        new_id: Callable[[], UUID],
        on_asked: Callable[[], None],
        observe: Callable[[RowCounts], object] = lambda _: None,
    ) -> None:
        self._imports = imports
        self._ledger = ledger
        self._new_id = new_id
        self._on_asked = on_asked
        self._observe = observe

    @property
    def kinds(self) -> Mapping[str, TaskWork]:
        """What does each kind of task."""
        return {PIECE_TASK: self.check_piece, END_TASK: self.end}

    async def check_piece(self, task: Task) -> None:
        """Check the rows of a piece and add its contacts to the list."""
        import_id = UUID(hex=task.payload["import_id"])
        piece = await self._imports.load(import_id, task.payload["piece_no"])
        if piece.is_running and not piece.has_list:
            await self._close(import_id, failure=LIST_DELETED)
        if not (piece.is_running and piece.has_list):
            await self._imports.give_up(task, import_id)
            return
        # In a thread: the loop goes on saying of other tasks that they are in hand.
        checked = await asyncio.to_thread(check, piece)
        done = await self._imports.store(task, piece, checked, self._new_id())
        if done is None:
            return
        following, counts = done
        self._observe(counts)
        if piece.is_last:
            # At once. Whoever is given the task later, or instead, finds it done or does it.
            await self.end(following)
        else:
            self._on_asked()

    async def end(self, task: Task) -> None:
        """Close an import behind its last piece."""
        import_id = UUID(hex=task.payload["import_id"])
        counts = await self._imports.counts(import_id)
        await self._close(import_id, counts=counts)
        await self._imports.give_up(task, import_id)
        _log.info(
            "contacts_imported",
            import_id=format_id(CONTACT_IMPORT_PREFIX, import_id),
            row_count=counts.checked,
            invalid_count=counts.invalid,
        )

    async def _close(
        self, import_id: UUID, *, counts: RowCounts | None = None, failure: str | None = None
    ) -> None:
        cause = Cause(ACTOR, utc_now(), new_request_id("job_"))
        command = EndContactImport(import_id, cause, counts or RowCounts(), failure)
        try:
            await self._ledger.execute(command)
        except LedgerUnavailable as away:
            raise NotReady(str(away)) from away


def check(piece: LoadedPiece) -> CheckedRows:
    """Return what the rows of a piece come to."""
    if piece.columns is None:
        return check_ndjson(
            piece.content, piece.first_line, piece.number_column, piece.default_country
        )
    return check_csv(piece.content, piece.first_line, piece.columns, piece.default_country)
