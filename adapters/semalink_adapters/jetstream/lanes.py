"""Lanes of one process: normal gives way while priority is busy, and bulk while either is."""

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
    """Shared by the loops; ``priority``, ``normal`` and ``bulk`` are their lanes.

    The waits of normal and bulk are bounded, so that they never starve.
    """

    def __init__(self, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        # Shut until the priority lane has looked for the first time.
        self._calm = asyncio.Event()
        self.priority: Lane = _PriorityLane(self._calm)
        # Open, because a worker need not serve the normal lane.
        self._normal_calm = asyncio.Event()
        self._normal_calm.set()
        self.normal: Lane = _NormalLane(self._calm, self._normal_calm, patience_seconds)
        self.bulk: Lane = _BulkLane((self._calm, self._normal_calm), patience_seconds)


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
    def __init__(
        self, calm: asyncio.Event, own_calm: asyncio.Event, patience_seconds: float
    ) -> None:
        self._calm = calm
        self._own_calm = own_calm
        self._patience_seconds = patience_seconds

    async def wait_for_turn(self) -> None:
        await _wait_for((self._calm,), self._patience_seconds)

    def fetched(self, *, full: bool) -> None:
        if full:
            self._own_calm.clear()
        else:
            self._own_calm.set()


class _BulkLane:
    def __init__(self, calms: tuple[asyncio.Event, ...], patience_seconds: float) -> None:
        self._calms = calms
        self._patience_seconds = patience_seconds

    async def wait_for_turn(self) -> None:
        await _wait_for(self._calms, self._patience_seconds)

    def fetched(self, *, full: bool) -> None:
        return


async def _wait_for(calms: tuple[asyncio.Event, ...], patience_seconds: float) -> None:
    """Wait until all are calm, within a bound: busy lanes may slow this one, not stop it."""
    try:
        async with asyncio.timeout(patience_seconds):
            for calm in calms:
                await calm.wait()
    except TimeoutError:
        return
