"""Two lanes in one process: the normal one gives way while the priority one is busy."""

import asyncio
from typing import Protocol

_PATIENCE_SECONDS = 0.25


class Lane(Protocol):
    """When a loop may ask for more."""

    async def wait_for_turn(self) -> None:
        """Return when it is this lane's turn, within a bound."""
        ...

    def fetched(self, *, full: bool) -> None:
        """Hear whether the last request brought all that was asked for."""
        ...


class _OpenLane:
    async def wait_for_turn(self) -> None:
        return

    def fetched(self, *, full: bool) -> None:
        return


#: The lane of a loop that gives way to nobody.
OPEN_LANE: Lane = _OpenLane()


class PriorityGate:
    """Shared by two loops; ``priority`` and ``normal`` are their lanes.

    The wait of the normal lane is bounded, so that it never starves.
    """

    def __init__(self, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        # Shut until the priority lane has looked for the first time.
        self._calm = asyncio.Event()
        self.priority: Lane = _PriorityLane(self._calm)
        self.normal: Lane = _NormalLane(self._calm, patience_seconds)


class _PriorityLane:
    def __init__(self, calm: asyncio.Event) -> None:
        self._calm = calm

    async def wait_for_turn(self) -> None:
        return

    def fetched(self, *, full: bool) -> None:
        if full:
            self._calm.clear()
        else:
            self._calm.set()


class _NormalLane:
    def __init__(self, calm: asyncio.Event, patience_seconds: float) -> None:
        self._calm = calm
        self._patience_seconds = patience_seconds

    async def wait_for_turn(self) -> None:
        if self._calm.is_set():
            return
        try:
            async with asyncio.timeout(self._patience_seconds):
                await self._calm.wait()
        except TimeoutError:
            # Waited long enough: a busy priority lane may slow this one, not stop it.
            return

    def fetched(self, *, full: bool) -> None:
        return
