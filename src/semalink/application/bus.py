"""The bus: what may be published, what is delivered, and how a handler says that it cannot."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class NotReady(Exception):
    """What the handler needs is away; the delivery is kept in hand and tried again.

    It costs no delivery: a database that is down for an hour fills no dead letters.
    """


class PoisonMessage(Exception):
    """No retry can help this message; it goes to the dead letters at once.

    ``reason`` is stored and shown: it never holds a text, a number or a key.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Replaced(Exception):
    """What the message asked for goes on in other messages, which the broker has: it is done."""


class BrokerUnfit(Exception):
    """The broker answers and must not be used as it is; the message says how to mend it."""


class PublishState(StrEnum):
    """What became of one published message."""

    #: Stored by the broker, and on its disk.
    ACKED = "acked"
    #: Stored before under the same message id; nothing was added.
    DUPLICATE = "duplicate"
    #: Not known to be stored; publish again with the same message id.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PublishOutcome:
    """What became of one published message, and why when it failed."""

    state: PublishState
    #: A stable word for a failure, e.g. "timeout", "no_stream", "disconnected", "refused_10077".
    reason: str = ""

    @property
    def stored(self) -> bool:
        """Tell whether the broker has the message."""
        return self.state is not PublishState.FAILED


#: How many pieces of work are in one message; without it there is one.
COUNT_HEADER = "Sema-Count"


def work_count(headers: Mapping[str, str]) -> int:
    """Return how many pieces of work a message with these headers holds."""
    text = headers.get(COUNT_HEADER, "")
    return int(text) if text.isdecimal() and len(text) < 6 else 1


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to publish; the same ``message_id`` is stored once."""

    subject: str
    payload: bytes
    message_id: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Delivery(Protocol):
    """One message in hand; a handler that returns has it acknowledged for it."""

    @property
    def subject(self) -> str:
        """The subject that it was published to."""
        ...

    @property
    def payload(self) -> bytes:
        """The bytes that were published."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that were published, the trace context among them."""
        ...

    @property
    def message_id(self) -> str:
        """The id that it was first published with; it stays the same when published again."""
        ...

    @property
    def num_delivered(self) -> int:
        """How many times it was delivered, this time included."""
        ...

    @property
    def settled(self) -> bool:
        """Tell whether it was acknowledged, given back or terminated."""
        ...

    async def ack(self) -> None:
        """Remove the message from its queue: the work is done."""
        ...

    async def nak(self, delay_seconds: float = 0) -> None:
        """Give the message back, to be delivered again after the delay."""
        ...

    async def term(self, reason: str) -> None:
        """Remove the message from its queue although the work was not done."""
        ...

    async def in_progress(self) -> None:
        """Say that the work goes on, so that nobody else is given the message."""
        ...


class Bus(Protocol):
    """Where work is published. It answers about each message and raises for none."""

    @property
    def connected(self) -> bool:
        """Tell whether the broker can be reached now."""
        ...

    async def publish(
        self,
        subject: str,
        payload: bytes,
        *,
        message_id: str,
        headers: Mapping[str, str] | None = None,
    ) -> PublishOutcome:
        """Store one message, trying again for a bounded time."""
        ...

    async def publish_many(self, items: Sequence[Outgoing]) -> Sequence[PublishOutcome]:
        """Store many messages in few round trips; one outcome for each, in order."""
        ...

    async def poke(self, subject: str) -> None:
        """Wake whoever listens; losing it costs a moment, so nothing is checked."""
        ...

    async def on_poke(self, subject: str, callback: Callable[[], None]) -> None:
        """Call back at each poke from now on, across reconnections."""
        ...


class BusObserver(Protocol):
    """What the bus tells whoever counts; each call is cheap and raises nothing."""

    def published(self, subject: str, state: PublishState, count: int) -> None:
        """A message with so many pieces of work was published, or could not be."""
        ...

    def delivered(self, queue: str, count: int) -> None:
        """So many pieces of work were taken from the queue."""
        ...

    def acked(self, queue: str) -> None:
        """One message was done."""
        ...

    def naked(self, queue: str, count: int) -> None:
        """A message with so many pieces of work was given back."""
        ...

    def dead_lettered(self, queue: str, error_type: str) -> None:
        """One message was given up."""
        ...

    def handled(self, queue: str, seconds: float) -> None:
        """One call of a handler took so long, whatever became of it."""
        ...


class Unobserved:
    """Nobody counts."""

    def published(self, subject: str, state: PublishState, count: int) -> None:
        """Do nothing."""

    def delivered(self, queue: str, count: int) -> None:
        """Do nothing."""

    def acked(self, queue: str) -> None:
        """Do nothing."""

    def naked(self, queue: str, count: int) -> None:
        """Do nothing."""

    def dead_lettered(self, queue: str, error_type: str) -> None:
        """Do nothing."""

    def handled(self, queue: str, seconds: float) -> None:
        """Do nothing."""
