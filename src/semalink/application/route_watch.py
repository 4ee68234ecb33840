"""A worker's eye on the routes: it counts, tells the others, and takes out of use what fails."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from semalink.application.ledger import Ledger
from semalink.application.route_book import (
    HourTally,
    RouteBook,
    RouteRecords,
    RouteTally,
    beginnings,
    board_of,
    first_second,
    latency_bin,
    resting,
    second_of,
    tallies_of,
)
from semalink.application.routes import EndProbe, TripRoute
from semalink.domain.cause import Cause
from semalink.domain.route_health import (
    EVERY_NETWORK,
    FAILURES_IN_A_ROW,
    Diagnosis,
    Tally,
    diagnose,
    is_route_fault,
)
from semalink.domain.routing import TEST_ROUTE, Board, Wish

#: By route, network, second, and whether it was a failure.
Seconds = Counter[tuple[str, str, int, bool]]
#: By route, hour, bin of durations, and whether it was a failure.
Hours = Counter[tuple[str, datetime, int, bool]]

ACTOR = "worker:sms"

#: When nothing of a route was answered for so long, calls that wait as long count as failures.
SILENCE = timedelta(seconds=5)
#: A worker whose last beat is longer ago was frozen itself: answers may be there, still unread.
FROZEN = timedelta(seconds=2)


@dataclass(slots=True, eq=False)
class Call:
    """A call to an aggregator that is under way."""

    route: str
    network: str
    began_at: datetime
    #: It tries a route that is out of use; its answer is waited for, however long it takes.
    is_probe: bool = False
    #: When it was counted as a failure, because it waited.
    counted_at: datetime | None = None
    #: Tells whoever waits for the answer to give its place to another message meanwhile.
    free: Callable[[datetime], None] | None = None


class RouteWatch:
    """Counts what calls came to; each beat shares it and brings the board up to date."""

    def __init__(  # noqa: PLR0913 - what a watch is made of
        self,
        book: RouteBook,
        ledger: Ledger,
        *,
        wish_of: Callable[[UUID], Awaitable[Wish]],
        order: Sequence[str],
        dedicated: Sequence[str] = (),
        now: Callable[[], datetime],
        new_request_id: Callable[[], str],
        on_trip: Callable[[str, Diagnosis], None],
    ) -> None:
        self._book = book
        self._ledger = ledger
        self._wish_of = wish_of
        self._order = tuple(order)
        self._names = (*order, *dedicated)
        self._now = now
        self._new_request_id = new_request_id
        self._on_trip = on_trip
        self._board = Board.untold(self._order, *dedicated)
        self._calls: set[Call] = set()
        self._answered_at: dict[str, datetime] = {}
        self._in_a_row: dict[str, int] = {}
        self._beat_at: datetime | None = None
        self._seconds: Seconds = Counter()
        self._hours: Hours = Counter()
        #: Set when so much failed at once that the next beat should not wait.
        self.urgent = asyncio.Event()

    @property
    def board(self) -> Board:
        """What was known of all routes at the last beat."""
        return self._board

    async def wish_of(self, account_id: UUID) -> Wish:
        """Return what is set for an account; raises NotReady while that cannot be asked."""
        return await self._wish_of(account_id)

    def begin(
        self,
        route: str,
        network: str | None,
        *,
        is_probe: bool = False,
        free: Callable[[datetime], None] | None = None,
    ) -> Call:
        """Take note that a call leaves; ``free`` is called when its place is of use to others."""
        call = Call(route, network or EVERY_NETWORK, self._now(), is_probe, free=free)
        if route != TEST_ROUTE:
            self._calls.add(call)
        return call

    def end(self, call: Call, result: str) -> None:
        """Take note of what a call came to: "accepted", a failure class or "unknown"."""
        if call not in self._calls:
            return
        self._calls.discard(call)
        now = self._now()
        is_fault = is_route_fault(result)
        if not is_fault:
            self._answered_at[call.route] = now
        if call.counted_at is None:
            self._count(call, now, is_fault=is_fault)
        elif not is_fault:
            self._take_back(call, call.counted_at)
            self._count(call, now, is_fault=False)

    def forget(self, call: Call) -> None:
        """Take note that a call was cut off by us."""
        self._calls.discard(call)

    async def end_probe(self, call: Call, probes: str, message_id: UUID, result: str) -> None:
        """Record what the message that tried a route came to."""
        cause = self._cause()
        passed = not is_route_fault(result)
        command = EndProbe(call.route, probes, message_id, result, passed, cause)
        await self._ledger.execute(command)
        # Whoever comes next is to see it at once.
        self.urgent.set()

    def note_probe(self, route: str, probes: str, until: datetime) -> None:
        """Let no other message of this worker try the route meanwhile."""
        self._board = self._board.with_probe(route, probes, until)

    async def beat(self) -> None:
        """Share what was counted, learn what others counted, and trip what fails.

        Raises NotReady or LedgerUnavailable; what was not shared is kept for the next beat.
        """
        self.urgent.clear()
        self._count_silence()
        await self._share()
        records = await self._read()
        if await self._trip(records):
            records = await self._read()
        self._board = board_of(records, order=self._order, names=self._names, now=self._now())
        self._free_places()

    def _count(self, call: Call, now: datetime, *, is_fault: bool) -> None:
        hour = now.replace(minute=0, second=0, microsecond=0)
        duration = (now - call.began_at).total_seconds()
        self._seconds[call.route, call.network, second_of(now), is_fault] += 1
        self._hours[call.route, hour, latency_bin(duration), is_fault] += 1
        in_a_row = self._in_a_row.get(call.route, 0) + 1 if is_fault else 0
        self._in_a_row[call.route] = in_a_row
        if in_a_row and in_a_row % FAILURES_IN_A_ROW == 0:
            self.urgent.set()

    def _take_back(self, call: Call, counted_at: datetime) -> None:
        # It was slow and not silent: one call counts once.
        hour = counted_at.replace(minute=0, second=0, microsecond=0)
        duration = (counted_at - call.began_at).total_seconds()
        self._seconds[call.route, call.network, second_of(counted_at), True] -= 1
        self._hours[call.route, hour, latency_bin(duration), True] -= 1

    def _count_silence(self) -> None:
        now, before = self._now(), self._beat_at
        self._beat_at = now
        if before is None or now - before > FROZEN:
            return
        for call in self._calls:
            heard_at = self._answered_at.get(call.route, call.began_at)
            waits = now - call.began_at >= SILENCE and now - heard_at >= SILENCE
            if waits and call.counted_at is None:
                call.counted_at = now
                self._count(call, now, is_fault=True)

    def _free_places(self) -> None:
        # A worker whose places all wait for a route that is out of use would send nothing at all.
        # The calls go on: an answer that comes late is an answer.
        for call in self._calls:
            if call.free is None or call.is_probe or call.counted_at is None:
                continue
            standing = self._board.standings.get(call.route)
            if standing is not None and standing.open_circuit(call.network):
                call.free(call.began_at)

    async def _share(self) -> None:
        seconds, hours = self._seconds, self._hours
        if not hours:
            return
        self._seconds, self._hours = Counter(), Counter()
        try:
            await self._book.add(_second_tallies(seconds), _hour_tallies(hours))
        except BaseException:
            oldest = first_second(self._now())
            self._seconds.update({key: count for key, count in seconds.items() if key[2] >= oldest})
            self._hours.update(hours)
            raise

    async def _read(self) -> RouteRecords:
        return await self._book.read(first_second(self._now()))

    async def _trip(self, records: RouteRecords) -> bool:
        tripped = False
        for route in self._names:
            for diagnosis in diagnose(
                tallies_of(records, route),
                now_second=second_of(self._now()),
                since=beginnings(records, route),
                resting=resting(records, route),
            ):
                command = TripRoute(route, diagnosis, self._cause())
                if (await self._ledger.execute(command)).value:
                    self._on_trip(route, diagnosis)
                tripped = True
        return tripped

    def _cause(self) -> Cause:
        return Cause(ACTOR, self._now(), self._new_request_id())


def _second_tallies(counted: Seconds) -> Sequence[RouteTally]:
    return [
        RouteTally(route, Tally(second, network, *_sums(counted, (route, network, second))))
        for route, network, second in {key[:3] for key in counted}
    ]


def _hour_tallies(counted: Hours) -> Sequence[HourTally]:
    return [HourTally(*key, *_sums(counted, key)) for key in {key[:3] for key in counted}]


def _sums(counted: Counter[Any], key: tuple[Any, ...]) -> tuple[int, int]:
    errors = counted[*key, True]
    return counted[*key, False] + errors, errors
