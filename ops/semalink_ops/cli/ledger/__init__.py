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
    "verify": Place(
        "semalink_ops.cli.ledger.verify",
        "verify",
        "Recompute the ledger from its entries, and compare everything that is kept of it.",
    ),
    "replay": Place(
        "semalink_ops.cli.ledger.replay",
        "replay",
        "Rebuild every balance from the entries into a scratch schema, and compare.",
    ),
    "checkpoint": Place(
        "semalink_ops.cli.ledger.checkpoint",
        "checkpoint",
        "Sign the chains of all accounts as they are now, or list what was signed.",
    ),
    "export": Place(
        "semalink_ops.cli.ledger.export",
        "export_ledger",
        "Export entries of the ledger, with what proves them on any machine.",
    ),
    "verifier": Place(
        "semalink_ops.cli.ledger.export",
        "verifier",
        "Print the program that checks an export on any machine.",
    ),
    "trial-balance": Place(
        "semalink_ops.cli.ledger.trial_balance",
        "trial_balance",
        "Show the sums of the journal, which add up to nothing.",
    ),
    "close-month": Place(
        "semalink_ops.cli.ledger.close_month",
        "close_month",
        "Close a month: freeze every position and write the statements.",
    ),
    "statement": Place(
        "semalink_ops.cli.ledger.statement",
        "statement",
        "Print the statement of an account for a month.",
    ),
    "reconcile": Place(
        "semalink_ops.cli.ledger.reconcile",
        "reconcile",
        "Compare what aggregators say they charged with what our segments cost by contract.",
    ),
}


@click.group("ledger", cls=LazyGroup, places=_COMMANDS)
def ledger() -> None:
    """Check, replay and export the ledger.

    These commands work on the database itself, so they need its settings and no API key.
    """
