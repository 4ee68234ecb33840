from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from semalink.domain.cause import Cause
from semalink.domain.route import Route
from semalink.domain.route_health import EVERY_NETWORK, Diagnosis, Figures, TripCause
from semalink.domain.routing import RouteMode
from semalink.domain.sender_route import SenderRoute

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
MESSAGE_ID = UUID(int=7)
OUTAGE = Diagnosis(EVERY_NETWORK, TripCause.OUTAGE, Figures(40, 12, 12))


def at(seconds: float) -> Cause:
    return Cause("worker:sms", START + timedelta(seconds=seconds), "job_1")


def names(route: Any) -> list[str]:
    return [type(event).__name__ for event in route.collect_events()]


@pytest.fixture
def route() -> Route:
    named = Route.name_one("celcom", at(0))
    named.collect_events()
    return named


@pytest.fixture
def tripped(route: Route) -> Route:
    route.trip(OUTAGE, at(0))
    route.collect_events()
    return route


def pass_probes(route: Route, first_second: float) -> None:
    for number in range(3):
        message_id = UUID(int=number)
        assert route.start_probe(EVERY_NETWORK, message_id, at(first_second))
        route.end_probe(EVERY_NETWORK, message_id, at(first_second), result="accepted", passed=True)


def test_trip_takes_a_route_out_of_use_with_the_figures_that_did_it(route: Route) -> None:
    has_tripped = route.trip(OUTAGE, at(0))

    [event] = route.collect_events()
    assert has_tripped
    assert isinstance(event, Route.Tripped)
    assert (event.route, event.network, event.cause) == ("celcom", "", "outage")
    assert (event.attempts, event.errors, event.failures_in_a_row) == (40, 12, 12)
    assert event.probe_at == START + timedelta(seconds=15)


def test_trip_of_a_stall_goes_on_with_longer_pauses_within_the_hour(route: Route) -> None:
    stall = Diagnosis(EVERY_NETWORK, TripCause.STALL, Figures(40, 40))
    route.trip(stall, at(0))
    route.hear_of_probe(EVERY_NETWORK, at(60))
    route.trip(stall, at(3_000))

    event = route.collect_events()[-1]
    assert isinstance(event, Route.Tripped)
    assert event.trips_in_a_row == 2


def test_hear_of_probe_changes_nothing_of_a_route_that_did_not_stall(tripped: Route) -> None:
    assert not tripped.hear_of_probe(EVERY_NETWORK, at(1))
    assert not tripped.hear_of_probe("airtel", at(1))
    assert names(tripped) == []


def test_trip_changes_nothing_when_another_worker_was_faster(tripped: Route) -> None:
    has_tripped = tripped.trip(OUTAGE, at(1))

    assert not has_tripped
    assert names(tripped) == []


def test_trip_of_a_network_leaves_the_others(route: Route) -> None:
    route.trip(Diagnosis("airtel", TripCause.ERROR_RATE, Figures(40, 12, 0)), at(0))

    assert route.is_open("airtel")
    assert not route.is_open("safaricom")
    assert not route.is_open(EVERY_NETWORK)


@pytest.mark.parametrize(("second", "starts"), [(14.9, False), (15, True)])
def test_start_probe_waits_for_the_rest_to_end(
    tripped: Route, second: float, *, starts: bool
) -> None:
    assert tripped.start_probe(EVERY_NETWORK, MESSAGE_ID, at(second)) is starts

    assert names(tripped) == (["ProbeStarted"] if starts else [])


@pytest.mark.parametrize(("second", "starts"), [(44.9, False), (45, True)])
def test_start_probe_lets_one_message_at_a_time_until_its_lease_ends(
    tripped: Route, second: float, *, starts: bool
) -> None:
    tripped.start_probe(EVERY_NETWORK, MESSAGE_ID, at(15))

    assert tripped.start_probe(EVERY_NETWORK, UUID(int=8), at(second)) is starts


def test_start_probe_finds_nothing_to_try_in_a_route_in_use(route: Route) -> None:
    assert not route.start_probe(EVERY_NETWORK, MESSAGE_ID, at(99))

    assert names(route) == []


def test_three_probes_that_pass_bring_the_route_back(tripped: Route) -> None:
    pass_probes(tripped, 15)

    assert names(tripped) == ["ProbeStarted", "ProbePassed"] * 3 + ["Recovered"]
    assert not tripped.is_open(EVERY_NETWORK)


def test_a_probe_that_fails_lets_the_route_rest_twice_as_long(tripped: Route) -> None:
    tripped.start_probe(EVERY_NETWORK, MESSAGE_ID, at(15))

    tripped.end_probe(EVERY_NETWORK, MESSAGE_ID, at(16), result="unknown", passed=False)

    _, failed = tripped.collect_events()
    assert isinstance(failed, Route.ProbeFailed)
    assert failed.probe_at == START + timedelta(seconds=16 + 30)
    assert not tripped.start_probe(EVERY_NETWORK, MESSAGE_ID, at(45))
    assert tripped.start_probe(EVERY_NETWORK, MESSAGE_ID, at(46))


@pytest.mark.parametrize(("network", "message_id"), [("airtel", MESSAGE_ID), ("", UUID(int=9))])
def test_end_probe_notes_nothing_of_another_probe(
    tripped: Route, network: str, message_id: UUID
) -> None:
    tripped.start_probe(EVERY_NETWORK, MESSAGE_ID, at(15))
    tripped.collect_events()

    tripped.end_probe(network, message_id, at(16), result="accepted", passed=True)

    assert names(tripped) == []


@pytest.mark.parametrize(("seconds_in_use", "pause_seconds"), [(599, 30), (600, 15)])
def test_trip_soon_after_a_recovery_rests_longer(
    tripped: Route, seconds_in_use: int, pause_seconds: int
) -> None:
    pass_probes(tripped, 15)
    tripped.collect_events()
    again = at(15 + seconds_in_use)

    tripped.trip(OUTAGE, again)

    [event] = tripped.collect_events()
    assert isinstance(event, Route.Tripped)
    assert event.probe_at == again.at + timedelta(seconds=pause_seconds)


def test_override_is_recorded_once_and_cleared_once(route: Route) -> None:
    ends_at = START + timedelta(hours=1)

    for _ in range(2):
        route.override(RouteMode.DISABLE, "maintenance", ends_at, at(0))
    for _ in range(2):
        route.override(RouteMode.AUTO, "done", None, at(60))

    assert names(route) == ["Overridden", "OverrideCleared"]
    assert (route.mode, route.reason, route.expires_at) == (RouteMode.AUTO, "", None)


def test_override_of_a_sender_is_recorded_once_and_cleared_once() -> None:
    sender = SenderRoute.name_one("SEMA", at(0))

    sender.override(None, "nothing to clear", None, at(0))
    for _ in range(2):
        sender.override("africastalking", "only registered there", None, at(0))
    for _ in range(2):
        sender.override(None, "registered", None, at(60))

    assert names(sender) == ["Created", "Overridden", "Overridden"]
    assert sender.route is None
