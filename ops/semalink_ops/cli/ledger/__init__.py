"""The command `ledger`: what finance, auditors and operators ask of the ledger."""

import rich_click as click

from semalink_ops.cli.lazy import LazyGroup, Place

#: In the order of a first visit; each command is a module of its own in this package.
_COMMANDS: dict[str, Place] = {
    "reconcile": Place(
        "semalink_ops.cli.ledger.reconcile",
        "reconcile",
        "Compare what aggregators charged with what they should have.",
    )
}


@click.group("ledger", cls=LazyGroup, places=_COMMANDS)
def ledger() -> None:
    """Check, replay and export the ledger.

    These commands work on the database itself, so they need its settings and no API key.
    """
