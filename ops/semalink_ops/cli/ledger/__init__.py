"""The command `ledger`: what finance, auditors and operators ask of the ledger."""

import rich_click as click

from semalink_ops.cli.lazy import LazyGroup, Place

#: In the order of a first visit; each command is a module of its own in this package.
_COMMANDS: dict[str, Place] = {
    "balance": Place(
        "semalink_ops.cli.ledger.balance",
        "balance",
        "Show the balance of an account, now or at any point of its history.",
    ),
    "entries": Place(
        "semalink_ops.cli.ledger.entries",
        "entries",
        "List the entries of an account, newest first, with the balance after each.",
    ),
    "reconcile": Place(
        "semalink_ops.cli.ledger.reconcile",
        "reconcile",
        "Compare what aggregators charged with what they should have.",
    ),
}


@click.group("ledger", cls=LazyGroup, places=_COMMANDS)
def ledger() -> None:
    """Check, replay and export the ledger.

    These commands work on the database itself, so they need its settings and no API key.
    """
