"""The command `account`: open, list and credit accounts, and set their terms."""

import rich_click as click

from semalink_ops.cli.lazy import LazyGroup, Place

_HERE = "semalink_ops.cli.account"

#: In the order of a first visit.
_COMMANDS = {
    "create": Place(
        f"{_HERE}.opening", "create", "Open an account with no credits, and print its id."
    ),
    "list": Place(
        f"{_HERE}.opening", "list_accounts", "List accounts in the order of their opening."
    ),
    "show": Place(f"{_HERE}.opening", "show", "Show an account and its balance."),
    "top-up": Place(f"{_HERE}.money", "top_up", "Credit a payment."),
    "limit": Place(
        f"{_HERE}.money",
        "limit",
        "Set how far an account may go below what it bought; 0 is prepaid.",
    ),
    "transfer": Place(
        f"{_HERE}.money",
        "transfer",
        "Move credits between an agent and a customer of it that pays for itself.",
    ),
    "adjust": Place(
        f"{_HERE}.adjusting",
        "adjust",
        "Correct balances: one person proposes, another approves or rejects.",
    ),
    "cap": Place(
        f"{_HERE}.terms",
        "cap",
        "Bound what a customer may spend of its agent's credits in a month; none lifts it.",
    ),
    "prices": Place(
        f"{_HERE}.terms",
        "prices",
        "Show what an agent's customers pay a segment, or set it from a TOML or JSON file.",
    ),
    "rate-limit": Place(
        f"{_HERE}.rate_limit",
        "rate_limit",
        "Show how fast an account and its keys may send, or set it.",
    ),
    "campaign-approval": Place(
        f"{_HERE}.campaign_approval",
        "campaign_approval",
        "Say whether an operator must agree to each campaign of an account.",
    ),
    "refund-rule": Place(
        f"{_HERE}.terms",
        "refund_rule",
        "Choose the final states that give an account's charges back.",
    ),
}


@click.group("account", cls=LazyGroup, places=_COMMANDS)
def account() -> None:
    """Open, list and credit accounts, and set their terms.

    These commands work on the database itself, so they need its settings and no API key.
    """
