"""Looks for routes that take messages and never report on them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from semalink.application.ledger import Ledger
from semalink.application.route_book import RouteRecords, resting
from semalink.application.routes import HearOfProbe, TripRoute
from semalink.domain.cause import Cause
from semalink.domain.route_health import (
    EVERY_NETWORK,
    STALL_OLDEST,
    STALL_YOUNGEST,
    Diagnosis,
    diagnose_stall,
)

ACTOR = "worker:relay"


@dataclass(frozen=True, slots=True)
class MinuteTally:
    """Messages of one minute that a route took, or that it took and has not reported on."""

    route: str
    network: str
    minute: datetime
    count: int


class StallReads(Protocol):
    """What is known of messages that routes took; raises NotReady while it is away."""

    async def submitted(self, since: datetime, until: datetime) -> Sequence[MinuteTally]:
        """Count what routes took in a span of time."""
        ...

    async def unreported(self, since: datetime, until: datetime) -> Sequence[MinuteTally]:
        """Count what of it had no final report so far, though the route was asked if it can be."""
        ...

    async def unasked(self, since: datetime, until: datetime) -> Sequence[MinuteTally]:
        """Count what of it was not asked for yet: that it is not heard of may be our doing."""
        ...

    async def is_behind(self) -> bool:
        """Whether reports that came long ago were not read yet, so that silence is ours."""
        ...

    async def heard_of(self) -> Sequence[tuple[str, str]]:
        """Return stalled routes, each with its network, that reported on a probe."""
        ...

    async def read(self, since_second: int) -> RouteRecords:
        """Return what is out of use; nothing else of the records is looked at."""
        ...


class StallWatch:
    """Trips routes that stall; any number of processes may look."""

    def __init__(
        self,
        reads: StallReads,
        ledger: Ledger,
        *,
        now: Callable[[], datetime],
        new_request_id: Callable[[], str],
        on_trip: Callable[[str, Diagnosis], None],
    ) -> None:
        self._reads = reads
        self._ledger = ledger
        self._now = now
        self._new_request_id = new_request_id
        self._on_trip = on_trip

    async def look(self) -> None:
        """Look once. Raises NotReady or LedgerUnavailable."""
        now = self._now()
        for route, network in await self._reads.heard_of():
            cause = Cause(ACTOR, now, self._new_request_id())
            await self._ledger.execute(HearOfProbe(route, network, cause))
        if await self._reads.is_behind():
            return
        since, until = now - STALL_OLDEST, now - STALL_YOUNGEST
        records = await self._reads.read(int(now.timestamp()))
        begins = _begins(records)
        taken = _by_route(await self._reads.submitted(since, until), begins)
        silent = _by_route(await self._reads.unreported(since, until), begins)
        unasked = _by_route(await self._reads.unasked(since, until), begins)
        for route in sorted(taken):
            out = resting(records, route)
            judged = taken[route] - unasked.get(route, Counter())
            for diagnosis in diagnose_stall(judged, silent.get(route, Counter()), out):
                cause = Cause(ACTOR, now, self._new_request_id())
                if (await self._ledger.execute(TripRoute(route, diagnosis, cause))).value:
                    self._on_trip(route, diagnosis)


def _begins(records: RouteRecords) -> Mapping[tuple[str, str], datetime]:
    """Return since when what routes took counts: what was before a recovery is over."""
    return {
        (circuit.route, circuit.network): circuit.since
        for circuit in records.circuits
        if not circuit.is_open
    }


def _by_route(
    tallies: Sequence[MinuteTally], begins: Mapping[tuple[str, str], datetime]
) -> dict[str, Counter[str]]:
    counted: dict[str, Counter[str]] = {}
    for tally in tallies:
        keys = {(tally.route, tally.network), (tally.route, EVERY_NETWORK)}
        if all(key not in begins or tally.minute >= begins[key] for key in keys):
            counted.setdefault(tally.route, Counter())[tally.network] += tally.count
    return counted
