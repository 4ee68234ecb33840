"""What waits for the ledger's writer: small commands in one line, those about many in another."""

import asyncio
from collections import deque
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from semalink.application.ledger import Command

#: Messages that are committed together, as a rule; one command may be about more.
BATCH_MAX = 256
#: A command about so many messages takes turns with those about few.
BULKY = 50


class Waiting(NamedTuple):
    """A command, and who waits for its answer."""

    command: Command[Any]
    future: asyncio.Future[Any]


class CommandQueue:
    """Filled by an event loop and emptied by one writer thread.

    A command about many messages is committed alone, after those about few that came with it; then
    the next small ones have their turn. So a single message never waits for more than one of them.
    """

    def __init__(self) -> None:
        self._arriving: SimpleQueue[Waiting | None] = SimpleQueue()
        # Only the writer thread touches these.
        self._small: deque[Waiting] = deque()
        self._bulky: deque[Waiting] = deque()
        self._is_turn_of_bulky = False
        self._is_closed = False
        #: Messages put in, by the event loop, and taken out, by the writer thread.
        self._weight_in = 0
        self._weight_out = 0

    @property
    def weight(self) -> int:
        """How many messages the commands are about that wait."""
        return self._weight_in - self._weight_out

    @property
    def is_over(self) -> bool:
        """Whether it was closed, and everything was taken."""
        return self._is_closed and not self._small and not self._bulky

    def __len__(self) -> int:
        """Count the commands that wait."""
        return self._arriving.qsize() + len(self._small) + len(self._bulky)

    def put(self, waiting: Waiting) -> None:
        """Add a command."""
        self._weight_in += waiting.command.weight
        self._arriving.put(waiting)

    def close(self) -> None:
        """Have the queue over once everything was taken."""
        self._arriving.put(None)

    def take(self, timeout: float | None) -> list[Waiting]:
        """Return what is committed next; nothing when nothing came in time, or ever will."""
        if not self._small and not self._bulky and not self._is_closed:
            self._sort_in(timeout)
        while not self._is_closed and self._sort_in(0.0):
            pass
        batch = self._next_batch()
        self._weight_out += sum(waiting.command.weight for waiting in batch)
        return batch

    def _sort_in(self, timeout: float | None) -> bool:
        try:
            waiting = self._arriving.get(timeout != 0.0, timeout)
        except Empty:
            return False
        if waiting is None:
            self._is_closed = True
        elif waiting.command.weight >= BULKY:
            self._bulky.append(waiting)
        else:
            self._small.append(waiting)
        return True

    def _next_batch(self) -> list[Waiting]:
        if self._bulky and (self._is_turn_of_bulky or not self._small):
            self._is_turn_of_bulky = False
            return [self._bulky.popleft()]
        self._is_turn_of_bulky = True
        batch: list[Waiting] = []
        weight = 0
        while self._small and weight < BATCH_MAX:
            waiting = self._small.popleft()
            batch.append(waiting)
            weight += waiting.command.weight
        return batch
