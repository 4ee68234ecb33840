from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from semalink.application.accounts import OpenAccount, PreferRoute
from semalink.application.bus import NotReady
from semalink.application.ledger import LedgerUnavailable
from semalink.application.route_book import HourTally, latency_bin
from semalink.application.route_watch import Call, RouteWatch
from semalink.application.routes import (
    DedicateRoute,
    EndProbe,
    OverrideAccountRoute,
    OverrideRoute,
    OverrideSenderRoute,
)
from semalink.domain.account import Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.errors import NotEnterprise
from semalink.domain.route import Route, route_id
from semalink.domain.route_health import EVERY_NETWORK, Figures
from semalink.domain.routing import CircuitState, Detour, RouteMode, Wish, state_of
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_routes import MemoryRoutes

Watches = Callable[..., RouteWatch]


def call(watch: RouteWatch, *results: str, route: str = "celcom", network: str = "") -> None:
    for result in results:
        watch.end(watch.begin(route, network or None), result)


def events_of(ledger: MemoryLedger, route: str = "celcom") -> list[str]:
    return [type(event).__name__ for event in ledger.events_of(route_id(route))]


@pytest.fixture
def state(clock: MemoryClock) -> Callable[..., CircuitState]:
    def of(watch: RouteWatch, route: str = "celcom", network: str | None = None) -> CircuitState:
        return state_of(watch.board.standings[route], network, clock.now())

    return of


async def test_beat_trips_a_route_and_every_worker_sees_it(
    new_watch: Watches, ledger: MemoryLedger, state: Callable[..., CircuitState]
) -> None:
    trips: list[str] = []
    one, two = new_watch(trips=trips), new_watch(trips=trips)
    call(one, *["transient"] * 5)
    call(two, *["unknown"] * 5)

    await one.beat()
    before = state(one)
    await two.beat()
    await one.beat()

    assert before is CircuitState.CLOSED
    assert [state(one), state(two)] == [CircuitState.OPEN] * 2
    assert events_of(ledger) == ["Created", "Tripped"]
    assert trips == ["celcom"]


async def test_beat_trips_once_when_two_workers_see_the_same_at_once(
    new_watch: Watches, ledger: MemoryLedger, book: MemoryRoutes
) -> None:
    trips: list[str] = []
    one, two = new_watch(trips=trips), new_watch(trips=trips)
    call(one, *["bug"] * 10)
    await one.beat()
    records = await book.read(0)

    # What the other worker read before the first one's trip was recorded.
    await two._trip(type(records)(records.tallies))

    assert events_of(ledger) == ["Created", "Tripped"]
    assert trips == ["celcom"]


async def test_beat_leaves_a_route_whose_refusals_are_not_its_fault(
    new_watch: Watches, state: Callable[..., CircuitState]
) -> None:
    watch = new_watch()
    call(watch, *["recipient", "opted_out", "window", "content"] * 10)

    await watch.beat()

    assert state(watch) is CircuitState.CLOSED
    assert watch.board.standings["celcom"].figures == Figures(40, 0, 0)


async def test_beat_counts_no_test_messages(new_watch: Watches, book: MemoryRoutes) -> None:
    watch = new_watch()
    call(watch, *["transient"] * 20, route="sandbox")

    await watch.beat()

    assert book.seconds == {}


async def test_beat_trips_a_dedicated_route_by_itself(
    new_watch: Watches, state: Callable[..., CircuitState]
) -> None:
    watch = new_watch(dedicated=("celcom_acme",))
    call(watch, *["configuration"] * 10, route="celcom_acme")

    await watch.beat()

    assert state(watch, "celcom_acme") is CircuitState.OPEN
    assert state(watch) is CircuitState.CLOSED


async def test_end_is_urgent_when_ten_failed_in_a_row(new_watch: Watches) -> None:
    watch = new_watch()
    call(watch, *["transient"] * 9, "accepted", *["transient"] * 9)
    calm = watch.urgent.is_set()

    call(watch, "transient")

    assert not calm
    assert watch.urgent.is_set()


async def test_beat_takes_silence_for_failure(
    new_watch: Watches, clock: MemoryClock, state: Callable[..., CircuitState]
) -> None:
    watch = new_watch()
    calls = [watch.begin("celcom", "safaricom") for _ in range(10)]
    clock.advance(seconds=4)
    await watch.beat()
    early = state(watch)
    clock.advance(seconds=1)

    await watch.beat()
    for each in calls:
        watch.end(each, "unknown")
    await watch.beat()

    assert early is CircuitState.CLOSED
    assert state(watch) is CircuitState.OPEN
    assert watch.board.standings["celcom"].figures.attempts == 10


async def test_beat_takes_its_own_silence_for_nothing(
    new_watch: Watches, clock: MemoryClock, state: Callable[..., CircuitState]
) -> None:
    watch = new_watch()
    await watch.beat()
    for _ in range(10):
        watch.begin("celcom", None)
    clock.advance(seconds=9)

    # The worker was frozen, and reads its answers now.
    await watch.beat()

    assert state(watch) is CircuitState.CLOSED


async def test_beat_takes_slowness_for_health_while_others_are_answered(
    new_watch: Watches, clock: MemoryClock, state: Callable[..., CircuitState]
) -> None:
    watch = new_watch()
    for _ in range(10):
        watch.begin("celcom", None)
    clock.advance(seconds=9)
    await watch.beat()
    call(watch, "accepted")

    await watch.beat()

    assert state(watch) is CircuitState.CLOSED


async def test_call_that_was_counted_as_silent_counts_once_when_it_ends_well(
    new_watch: Watches, clock: MemoryClock, book: MemoryRoutes
) -> None:
    watch, freed = new_watch(), list[object]()
    late = watch.begin("celcom", None, free=freed.append)
    for _ in range(5):
        clock.advance(seconds=1)
        await watch.beat()

    watch.end(late, "accepted")
    watch.end(late, "accepted")
    await watch.beat()

    assert watch.board.standings["celcom"].figures == Figures(1, 0, 0)
    assert sums(book.hours) == (1, 0)
    assert freed == []


async def test_forget_counts_nothing(new_watch: Watches, book: MemoryRoutes) -> None:
    watch = new_watch()
    cut_off = watch.begin("celcom", None)

    watch.forget(cut_off)
    watch.end(cut_off, "unknown")
    await watch.beat()

    assert book.seconds == {}


async def test_beat_keeps_what_it_counted_while_the_book_is_away(
    new_watch: Watches, book: MemoryRoutes, clock: MemoryClock
) -> None:
    watch = new_watch()
    call(watch, "accepted", "transient")
    clock.advance(seconds=61)
    call(watch, "accepted")
    book.is_available = False
    with pytest.raises(NotReady):
        await watch.beat()
    call(watch, "transient")
    book.is_available = True

    await watch.beat()

    # A minute later, what happened before is of interest to the day only.
    assert list(book.seconds.values()) == [(2, 1)]
    assert [(hour.attempts, hour.errors) for hour in book.hours] == [(4, 2)]


async def test_beat_is_not_decided_while_the_ledger_is_away(
    new_watch: Watches, ledger: MemoryLedger, state: Callable[..., CircuitState]
) -> None:
    watch = new_watch()
    call(watch, *["transient"] * 10)
    ledger.is_available = False
    with pytest.raises(LedgerUnavailable):
        await watch.beat()
    ledger.is_available = True

    await watch.beat()

    assert state(watch) is CircuitState.OPEN


async def probe(watch: RouteWatch, ledger: MemoryLedger, cause: Cause, *results: str) -> None:
    for number, result in enumerate(results):
        message_id = UUID(int=number)
        route = ledger.load(Route, route_id("celcom"))
        assert route is not None
        assert route.start_probe(EVERY_NETWORK, message_id, cause)
        for event in route.collect_events():
            ledger.streams[Route][route.id].append(event)
        watch.note_probe("celcom", EVERY_NETWORK, cause.at + timedelta(seconds=30))
        await watch.end_probe(Call("celcom", "", cause.at), EVERY_NETWORK, message_id, result)
        await watch.beat()


async def test_route_comes_back_after_its_rest_when_three_probes_pass(
    new_watch: Watches,
    ledger: MemoryLedger,
    clock: MemoryClock,
    cause: Callable[..., Cause],
    state: Callable[..., CircuitState],
) -> None:
    watch = new_watch()
    call(watch, *["transient"] * 10)
    await watch.beat()
    clock.advance(seconds=15)
    rested = state(watch)

    # A refusal for the recipient is an answer.
    await probe(watch, ledger, cause(), "accepted", "recipient", "accepted")

    assert rested is CircuitState.PROBING
    assert state(watch) is CircuitState.CLOSED
    assert events_of(ledger)[-1] == "Recovered"
    # The failures of before do not trip it again.
    assert watch.board.standings["celcom"].figures == Figures()


async def test_route_rests_on_when_its_probe_fails(
    new_watch: Watches,
    ledger: MemoryLedger,
    clock: MemoryClock,
    cause: Callable[..., Cause],
    state: Callable[..., CircuitState],
) -> None:
    watch = new_watch()
    call(watch, *["transient"] * 10)
    await watch.beat()
    clock.advance(seconds=15)

    await probe(watch, ledger, cause(), "unknown")

    assert state(watch) is CircuitState.OPEN
    assert events_of(ledger)[-2:] == ["ProbeStarted", "ProbeFailed"]


async def test_end_probe_of_a_route_that_nobody_heard_of_changes_little(
    ledger: MemoryLedger, cause: Callable[..., Cause]
) -> None:
    ledger.decide(EndProbe("celcom", "", UUID(int=1), "accepted", passed=True, cause=cause()))

    assert events_of(ledger) == ["Created"]


async def test_overrides_reach_every_worker(
    new_watch: Watches, ledger: MemoryLedger, clock: MemoryClock, cause: Callable[..., Cause]
) -> None:
    watch, ends_at = new_watch(), clock.now() + timedelta(hours=1)
    ledger.decide(OverrideRoute("celcom", RouteMode.DISABLE, "maintenance", ends_at, cause()))
    ledger.decide(OverrideRoute("africastalking", RouteMode.PREFER, "cheaper", None, cause()))
    ledger.decide(OverrideRoute("africastalking", RouteMode.AUTO, "", None, cause()))
    ledger.decide(OverrideSenderRoute("SEMA", "celcom", "registered there", None, cause()))
    ledger.decide(OverrideSenderRoute("GONE", None, "nothing to clear", None, cause()))
    ledger.decide(OverrideSenderRoute("GONE", "celcom", "", None, cause()))
    ledger.decide(OverrideSenderRoute("GONE", None, "", None, cause()))

    await watch.beat()

    standings = watch.board.standings
    assert (standings["celcom"].mode, standings["celcom"].mode_until) == (
        RouteMode.DISABLE,
        ends_at,
    )
    assert standings["africastalking"].mode is RouteMode.AUTO
    assert watch.board.senders == {"SEMA": Detour("celcom")}


async def test_wish_is_what_is_set_for_the_account(
    new_watch: Watches, ledger: MemoryLedger, cause: Callable[..., Cause]
) -> None:
    account_id = UUID(int=0xE)
    for command in (
        OpenAccount(account_id, "Benki", Kind.DIRECT, Tier.ENTERPRISE, cause()),
        PreferRoute(account_id, "africastalking", cause()),
        *[DedicateRoute(account_id, "celcom_acme", "contract", cause())] * 2,
        *[OverrideAccountRoute(account_id, "celcom", "complaints", None, cause())] * 2,
    ):
        ledger.decide(command)

    wish = await new_watch().wish_of(account_id)
    ledger.decide(OverrideAccountRoute(account_id, None, "solved", None, cause()))
    ledger.decide(OverrideAccountRoute(account_id, None, "solved twice", None, cause()))

    assert wish == Wish(Detour("celcom"), "celcom_acme", "africastalking")
    assert (await new_watch().wish_of(account_id)).override is None
    assert await new_watch().wish_of(UUID(int=404)) == Wish()
    steps = [type(event).__name__ for event in ledger.events_of(account_id)]
    assert steps.count("RouteDedicated") == 1
    assert steps.count("RouteOverridden") == 2


def test_dedicate_is_for_enterprise_accounts(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    with pytest.raises(NotEnterprise):
        ledger.decide(DedicateRoute(account_id, "celcom_acme", "asked", cause()))

    ledger.decide(DedicateRoute(account_id, None, "nothing to take back", cause()))

    assert "RouteDedicated" not in [type(event).__name__ for event in ledger.events_of(account_id)]


@pytest.mark.parametrize(
    ("seconds", "number"), [(0, 0), (0.05, 0), (0.051, 1), (9.9, 11), (10.001, 12), (600, 12)]
)
def test_durations_are_counted_in_bins(seconds: float, number: int) -> None:
    assert latency_bin(seconds) == number


def sums(hours: Sequence[HourTally]) -> tuple[int, int]:
    return sum(hour.attempts for hour in hours), sum(hour.errors for hour in hours)


async def test_beat_adds_up_the_hours(new_watch: Watches, book: MemoryRoutes) -> None:
    watch = new_watch()
    call(watch, "accepted", "transient", "accepted")

    await watch.beat()
    await watch.beat()

    assert sums(book.hours) == (3, 1)
