"""Networks that receipts and reports told, where the prefix of a number says another one."""

from datetime import datetime
from typing import NamedTuple

from semalink.domain.draft import Mode
from semalink.domain.message import Message
from semalink.domain.message_steps import Delivered, Submitted
from semalink.domain.phone_number import network_of_prefix

#: The steps of a message that may tell a network.
TELLING = (Submitted, Delivered)


class ToldNetwork(NamedTuple):
    """What a receipt or a report says of a number."""

    number: str
    network: str
    told_at: datetime
    #: "receipt" or "report", and of whom.
    source: str
    #: Whether the prefix says the same.
    is_guessed: bool


def told_network(event: Submitted | Delivered, message: Message) -> ToldNetwork | None:
    """Return what a step of a message says of its recipient's network; None when nothing."""
    # Of a test key's messages the sandbox tells, which knows nobody's network.
    if event.network is None or message.asked.mode == Mode.TEST:
        return None
    number = message.asked.to
    if isinstance(event, Submitted):
        source = f"receipt of {event.aggregator}"
    else:
        source = f"report of {message.aggregator}"
    is_guessed = network_of_prefix(number) == event.network
    return ToldNetwork(number, event.network, event.timestamp, source, is_guessed)
