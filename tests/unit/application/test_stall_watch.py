from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from semalink.application.routes import EndProbe
from semalink.application.stall_watch import MinuteTally, StallWatch
from semalink.domain.cause import Cause
from semalink.domain.route import Route, route_id
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_stalls import MemoryStalls


@pytest.fixture
def stalls(ledger: MemoryLedger) -> MemoryStalls:
    return MemoryStalls(ledger)


@pytest.fixture
def trips() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def watch(
    stalls: MemoryStalls, ledger: MemoryLedger, clock: MemoryClock, trips: list[tuple[str, str]]
) -> StallWatch:
    return StallWatch(
        stalls,
        ledger,
        now=clock.now,
        new_request_id=lambda: "job_stall",
        on_trip=lambda route, diagnosis: trips.append((route, diagnosis.network)),
    )


@pytest.fixture
def take(stalls: MemoryStalls, clock: MemoryClock) -> Callable[..., None]:
    def of(taken: int, silent: int, *, network: str = "", minutes_ago: int = 6) -> None:
        minute = clock.now() - timedelta(minutes=minutes_ago)
        stalls.taken.append(MinuteTally("celcom", network, minute, taken))
        if silent:
            stalls.silent.append(MinuteTally("celcom", network, minute, silent))

    return of


@pytest.mark.parametrize(
    ("taken", "silent", "minutes_ago", "stalled"),
    [
        (20, 10, 6, True),
        (20, 9, 6, False),
        (19, 19, 6, False),
        # Too young to be missed, and too old to say anything of now.
        (99, 99, 4, False),
        (99, 99, 16, False),
    ],
)
async def test_look_trips_a_route_that_reports_on_too_few(
    watch: StallWatch,
    take: Callable[..., None],
    trips: list[tuple[str, str]],
    taken: int,
    silent: int,
    minutes_ago: int,
    *,
    stalled: bool,
) -> None:
    take(taken, silent, minutes_ago=minutes_ago)

    await watch.look()
    await watch.look()

    assert trips == ([("celcom", "")] if stalled else [])


async def test_look_trips_a_network_alone_where_the_others_report(
    watch: StallWatch, take: Callable[..., None], trips: list[tuple[str, str]]
) -> None:
    take(40, 40, network="airtel")
    take(30, 1, network="safaricom")

    await watch.look()
    await watch.look()

    assert trips == [("celcom", "airtel")]


async def test_look_trips_a_network_that_hardly_shows_in_the_whole(
    watch: StallWatch, take: Callable[..., None], trips: list[tuple[str, str]]
) -> None:
    take(40, 40, network="airtel")
    take(900, 1, network="safaricom")

    await watch.look()

    assert trips == [("celcom", "airtel")]


async def test_look_changes_nothing_when_another_process_was_faster(
    watch: StallWatch,
    take: Callable[..., None],
    ledger: MemoryLedger,
    trips: list[tuple[str, str]],
    stalls: MemoryStalls,
) -> None:
    take(40, 40)
    before = await stalls.read(0)
    await watch.look()

    late = LateReads(ledger, stalls, before)
    await StallWatch(
        late,
        ledger,
        now=watch._now,
        new_request_id=lambda: "job_late",
        on_trip=lambda route, diagnosis: trips.append((route, diagnosis.network)),
    ).look()

    assert trips == [("celcom", "")]


class LateReads(MemoryStalls):
    """Read what was out of use before the other process tripped anything."""

    def __init__(self, ledger: MemoryLedger, stalls: MemoryStalls, before: object) -> None:
        super().__init__(ledger)
        self.taken, self.silent = stalls.taken, stalls.silent
        self._before = before

    async def read(self, since_second: int) -> object:  # type: ignore[override]
        return self._before


async def test_a_stalled_route_rests_for_minutes_and_its_past_is_over_when_it_is_back(
    *,
    watch: StallWatch,
    take: Callable[..., None],
    ledger: MemoryLedger,
    clock: MemoryClock,
    cause: Callable[..., Cause],
    trips: list[tuple[str, str]],
    stalls: MemoryStalls,
) -> None:
    take(40, 40)
    await watch.look()
    tripped = ledger.events_of(route_id("celcom"))[-1]
    assert isinstance(tripped, Route.Tripped)
    rested = tripped.probe_at - clock.now()
    clock.advance(seconds=300)
    for number in range(3):
        _start_probe(ledger, UUID(int=number), cause())
        ledger.decide(
            EndProbe("celcom", "", UUID(int=number), "accepted", passed=True, cause=cause())
        )
    last = ledger.events_of(route_id("celcom"))[-1]

    stalls.heard.append(("celcom", ""))
    await watch.look()
    await watch.look()
    stalls.heard.clear()
    back = ledger.events_of(route_id("celcom"))[-1]
    take(40, 40, minutes_ago=-1)
    clock.advance(minutes=7)
    await watch.look()

    assert rested == timedelta(minutes=5)
    # Three answers are no reports.
    assert isinstance(last, Route.ProbeFailed)
    assert (last.result, last.probe_at) == ("not_reported", back.timestamp + timedelta(minutes=10))
    assert isinstance(back, Route.Recovered)
    assert trips == [("celcom", "")] * 2


async def test_look_blames_no_route_while_reports_wait_to_be_read(
    watch: StallWatch,
    take: Callable[..., None],
    trips: list[tuple[str, str]],
    stalls: MemoryStalls,
) -> None:
    take(40, 40)
    stalls.behind = True

    await watch.look()

    assert trips == []


@pytest.mark.parametrize(("silent", "stalled"), [(9, False), (10, True)])
async def test_look_judges_by_what_was_asked_for(
    *,
    watch: StallWatch,
    take: Callable[..., None],
    clock: MemoryClock,
    trips: list[tuple[str, str]],
    stalls: MemoryStalls,
    silent: int,
    stalled: bool,
) -> None:
    take(1020, silent)
    minute = clock.now() - timedelta(minutes=6)
    stalls.not_asked.append(MinuteTally("celcom", "", minute, 1000))

    await watch.look()

    assert bool(trips) is stalled


def _start_probe(ledger: MemoryLedger, message_id: UUID, cause: Cause) -> None:
    route = ledger.load(Route, route_id("celcom"))
    assert route is not None
    assert route.start_probe("", message_id, cause)
    ledger.streams[Route][route.id].extend(route.collect_events())
