"""Which kinds of tasks the workers know, and what does each of them."""

from collections.abc import Mapping

from semalink.application.campaign_pieces import PIECE_TASK, PieceAcceptor
from semalink.application.tasks import TaskWork
from semalink_adapters.postgres.campaign_pieces import PostgresPieces
from semalink_ops.bootstrap import Core
from semalink_ops.runtime import utc_now


def contact_kinds(_core: Core) -> Mapping[str, TaskWork]:
    """Return what the worker of contacts does."""
    return {}


def content_kinds(core: Core) -> Mapping[str, TaskWork]:
    """Return what the worker of content does."""
    pieces = PieceAcceptor(PostgresPieces(core.pool), core.ledger, new_id=core.new_id, now=utc_now)
    return {PIECE_TASK: pieces.accept}
