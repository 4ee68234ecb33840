"""The command `dlq`: list, inspect, republish and discard dead letters."""

import rich_click as click

from semalink_ops.cli.lazy import LazyGroup, Place

_HERE = "semalink_ops.cli.dlq"

#: In the order in which an operator meets them.
_COMMANDS = {
    "list": Place(
        f"{_HERE}.looking",
        "list_letters",
        "List dead letters, or count them by queue and error.",
    ),
    "show": Place(
        f"{_HERE}.looking",
        "show",
        "Show what a dead letter holds, why it is one, and what was done.",
    ),
    "republish": Place(
        f"{_HERE}.settling",
        "republish",
        "Send dead letters round again: one, as it was or edited, or many at a rate.",
    ),
    "discard": Place(
        f"{_HERE}.settling",
        "discard",
        "Decide that dead letters are not to be done: one, or many at a rate.",
    ),
    "poison": Place(
        f"{_HERE}.poison",
        "poison",
        "Put what nobody can read into a queue of a sandbox, to rehearse what follows.",
    ),
}


@click.group("dlq", cls=LazyGroup, places=_COMMANDS)
def dlq() -> None:
    """List, inspect, republish and discard dead letters.

    A dead letter is a message that no worker could handle. It holds up nobody, and waits here for
    somebody to decide.
    """
