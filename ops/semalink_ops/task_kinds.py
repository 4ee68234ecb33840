"""Which kinds of tasks the workers know, and what does each of them."""

from collections.abc import Callable, Mapping

from semalink.application.campaign_pieces import PIECE_TASK, PieceAcceptor
from semalink.application.tasks import TASK_POKE_SUBJECT, TaskWork
from semalink.domain.content_check import Rules
from semalink_adapters.postgres.campaign_pieces import PostgresPieces
from semalink_adapters.postgres.contact_imports import PostgresContactImports
from semalink_ops.bootstrap import Core, Poker
from semalink_ops.campaign_checking import campaign_kinds
from semalink_ops.contact_importing import ContactImporter
from semalink_ops.observability.task_metrics import ImportMetrics
from semalink_ops.runtime import utc_now


def contact_kinds(core: Core) -> Mapping[str, TaskWork]:
    """Return what the worker of contacts does."""
    poker = Poker(core.bus, TASK_POKE_SUBJECT)
    imports = PostgresContactImports(core.pool)
    observe = ImportMetrics(core.metrics).checked
    return ContactImporter(imports, core.ledger, core.new_id, poker.poke, observe).kinds


def content_kinds(core: Core, rules: Callable[[], Rules]) -> Mapping[str, TaskWork]:
    """Return what the worker of content does."""
    pieces = PieceAcceptor(PostgresPieces(core.pool), core.ledger, new_id=core.new_id, now=utc_now)
    return {PIECE_TASK: pieces.accept, **campaign_kinds(core, rules)}
