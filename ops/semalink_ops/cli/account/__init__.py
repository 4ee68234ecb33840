"""The command `account`: open, list and credit accounts, and set their terms."""

import rich_click as click

from semalink_ops.cli.lazy import LazyGroup, Place

_HERE = "semalink_ops.cli.account"

#: In the order of a first visit.
_COMMANDS = {
    "create": Place(f"{_HERE}.opening", "create", "Open an account with no credits."),
    "list": Place(f"{_HERE}.opening", "list_accounts", "List accounts."),
    "show": Place(f"{_HERE}.opening", "show", "Show an account and its balance."),
    "top-up": Place(f"{_HERE}.money", "top_up", "Credit a payment."),
    "limit": Place(f"{_HERE}.money", "limit", "Set how far an account may go below nothing."),
    "transfer": Place(f"{_HERE}.money", "transfer", "Move credits between agent and customer."),
    "adjust": Place(f"{_HERE}.adjusting", "adjust", "Correct balances, two people at a time."),
    "cap": Place(f"{_HERE}.terms", "cap", "Bound what a customer spends of its agent's credits."),
    "prices": Place(f"{_HERE}.terms", "prices", "Show or set what an agent's customers pay."),
    "refund-rule": Place(f"{_HERE}.terms", "refund_rule", "Choose what gives a charge back."),
}


@click.group("account", cls=LazyGroup, places=_COMMANDS)
def account() -> None:
    """Open, list and credit accounts, and set their terms.

    These commands work on the database itself, so they need its settings and no API key.
    """
