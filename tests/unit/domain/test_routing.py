from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from semalink.domain.draft import Lane
from semalink.domain.route_health import EVERY_NETWORK, Figures
from semalink.domain.routing import (
    Board,
    Choice,
    Circuit,
    CircuitState,
    Detour,
    Reason,
    RouteMode,
    Routes,
    RouteStanding,
    Traits,
    Wish,
    choose_route,
    describe_health,
    state_of,
)

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
SOON = NOW + timedelta(seconds=10)
RESTING = Circuit(since=NOW, probe_at=SOON)
DUE = Circuit(since=NOW, probe_at=NOW)
WELL = RouteStanding()
DOWN = RouteStanding(circuits={EVERY_NETWORK: RESTING})
#: To be tried again.
TIRED = RouteStanding(circuits={EVERY_NETWORK: DUE})
TRAITS = Traits("SEMA", Lane.NORMAL, "safaricom")


def choose(
    celcom: RouteStanding = WELL,
    africastalking: RouteStanding = WELL,
    *,
    own: RouteStanding = WELL,
    wish: Wish | None = None,
    senders: dict[str, Detour] | None = None,
    **traits: Any,
) -> Choice | None:
    standings = {"celcom": celcom, "africastalking": africastalking, "own": own}
    board = Board(standings, senders=senders or {})
    return choose_route(Routes(board, wish or Wish()), replace(TRAITS, **traits), NOW)


@pytest.mark.parametrize(
    ("preferred", "tried", "route"),
    [
        (None, (), "celcom"),
        (None, ("celcom",), "africastalking"),
        (None, ("celcom", "africastalking"), None),
        ("africastalking", (), "africastalking"),
        ("africastalking", ("africastalking",), "celcom"),
        ("africastalking", ("celcom", "africastalking"), None),
        ("celcom", (), "celcom"),
        ("retired", (), "celcom"),
    ],
)
def test_choose_route_takes_the_preferred_then_the_order_without_those_tried(
    preferred: str | None, tried: tuple[str, ...], route: str | None
) -> None:
    choice = choose(wish=Wish(preferred=preferred), tried=tried)

    assert (choice.route if choice else None) == route


def test_choose_route_follows_another_order() -> None:
    routes = Routes(Board.untold(("b", "c")))

    choice = choose_route(routes, replace(TRAITS, tried=("b",)), NOW)

    assert choice == Choice("c", Reason.NEXT_ROUTE)


@pytest.mark.parametrize(
    ("facts", "choice"),
    [
        ({}, Choice("celcom", Reason.DEFAULT)),
        ({"wish": Wish(preferred="africastalking")}, Choice("africastalking", Reason.PREFERRED)),
        ({"tried": ("celcom",)}, Choice("africastalking", Reason.NEXT_ROUTE)),
        ({"celcom": DOWN}, Choice("africastalking", Reason.FAILED_OVER)),
        ({"wish": Wish(dedicated="own")}, Choice("own", Reason.DEDICATED)),
        (
            {"wish": Wish(dedicated="own", preferred="africastalking")},
            Choice("own", Reason.DEDICATED),
        ),
        ({"wish": Wish(dedicated="own"), "own": DOWN}, Choice("celcom", Reason.FAILED_OVER)),
        ({"wish": Wish(dedicated="gone")}, Choice("celcom", Reason.DEFAULT)),
        ({"celcom": TIRED}, Choice("celcom", Reason.PROBE, EVERY_NETWORK)),
        # A fallback comes back too, though nobody needs it now.
        ({"africastalking": TIRED}, Choice("africastalking", Reason.PROBE, EVERY_NETWORK)),
        ({"celcom": DOWN, "africastalking": DOWN}, Choice("celcom", Reason.LEAST_BAD)),
    ],
)
def test_choose_route_goes_by_health_then_by_rank(facts: dict[str, Any], choice: Choice) -> None:
    assert choose(**facts) == choice


@pytest.mark.parametrize(
    ("facts", "choice"),
    [
        (
            {"senders": {"SEMA": Detour("africastalking")}},
            Choice("africastalking", Reason.OVERRIDE_SENDER),
        ),
        # A route of its own is lent to nobody.
        ({"senders": {"SEMA": Detour("own")}}, Choice("celcom", Reason.DEFAULT)),
        ({"wish": Wish(override=Detour("own"))}, Choice("celcom", Reason.DEFAULT)),
        (
            {"wish": Wish(override=Detour("africastalking"), dedicated="own")},
            Choice("africastalking", Reason.OVERRIDE_ACCOUNT),
        ),
        (
            {
                "senders": {"SEMA": Detour("celcom")},
                "wish": Wish(override=Detour("africastalking")),
            },
            Choice("celcom", Reason.OVERRIDE_SENDER),
        ),
        (
            {"africastalking": RouteStanding(RouteMode.PREFER)},
            Choice("africastalking", Reason.OVERRIDE_ROUTE),
        ),
        (
            {
                "africastalking": RouteStanding(RouteMode.PREFER),
                "wish": Wish(override=Detour("celcom")),
            },
            Choice("celcom", Reason.OVERRIDE_ACCOUNT),
        ),
        # An operator's word stands above health.
        (
            {"celcom": DOWN, "senders": {"SEMA": Detour("celcom")}},
            Choice("celcom", Reason.OVERRIDE_SENDER),
        ),
        ({"senders": {"OTHER": Detour("africastalking")}}, Choice("celcom", Reason.DEFAULT)),
        ({"senders": {"SEMA": Detour("gone")}}, Choice("celcom", Reason.DEFAULT)),
        (
            {"senders": {"SEMA": Detour("africastalking", until=NOW)}},
            Choice("celcom", Reason.DEFAULT),
        ),
        (
            {"senders": {"SEMA": Detour("celcom")}, "tried": ("celcom",)},
            Choice("africastalking", Reason.NEXT_ROUTE),
        ),
    ],
)
def test_choose_route_obeys_operators_sender_first(facts: dict[str, Any], choice: Choice) -> None:
    assert choose(**facts) == choice


def test_choose_route_never_takes_a_route_that_is_switched_off() -> None:
    off = RouteStanding(RouteMode.DISABLE)

    assert choose(off) == Choice("africastalking", Reason.DEFAULT)
    assert choose(off, off) is None
    assert choose(off, off, senders={"SEMA": Detour("celcom")}) is None


def test_choose_route_forgets_an_override_that_ran_out() -> None:
    off = RouteStanding(RouteMode.DISABLE, mode_until=NOW)

    assert choose(off) == Choice("celcom", Reason.DEFAULT)


@pytest.mark.parametrize("standing", [DOWN, TIRED])
def test_choose_route_takes_a_route_that_is_kept_in_use_however_it_does(
    standing: RouteStanding,
) -> None:
    kept = replace(standing, mode=RouteMode.ENABLE)

    assert choose(kept) == Choice("celcom", Reason.DEFAULT)


def test_choose_route_leaves_only_the_network_that_fails() -> None:
    celcom = RouteStanding(circuits={"airtel": RESTING})

    assert choose(celcom, network="safaricom") == Choice("celcom", Reason.DEFAULT)
    assert choose(celcom, network=None) == Choice("celcom", Reason.DEFAULT)
    assert choose(celcom, network="airtel") == Choice("africastalking", Reason.FAILED_OVER)


def test_choose_route_probes_only_the_network_that_rests() -> None:
    celcom = RouteStanding(circuits={"airtel": DUE})

    assert choose(celcom, network="airtel") == Choice("celcom", Reason.PROBE, "airtel")
    assert choose(celcom, network="safaricom") == Choice("celcom", Reason.DEFAULT)


def test_choose_route_lets_one_message_at_a_time_probe() -> None:
    board = Board.untold()
    board = replace(board, standings={**board.standings, "celcom": TIRED})

    taken = board.with_probe("celcom", EVERY_NETWORK, SOON)

    probe = Choice("celcom", Reason.PROBE, EVERY_NETWORK)
    assert choose_route(Routes(board), TRAITS, NOW) == probe
    assert choose_route(Routes(taken), TRAITS, SOON) == probe
    assert choose_route(Routes(taken), TRAITS, NOW) == Choice("africastalking", Reason.FAILED_OVER)
    assert taken.with_probe("africastalking", EVERY_NETWORK, SOON) is taken


def test_choose_route_risks_no_priority_message_while_others_may_come() -> None:
    late = RouteStanding(
        circuits={EVERY_NETWORK: replace(DUE, probe_at=NOW - timedelta(seconds=30))}
    )

    assert choose(TIRED, lane=Lane.PRIORITY) == Choice("africastalking", Reason.FAILED_OVER)
    assert choose(late, lane=Lane.PRIORITY) == Choice("celcom", Reason.PROBE, EVERY_NETWORK)


def test_choose_route_probes_nothing_when_it_may_not() -> None:
    board = Board({"celcom": TIRED, "africastalking": WELL})

    choice = choose_route(Routes(board), TRAITS, NOW, may_probe=False)

    assert choice == Choice("africastalking", Reason.FAILED_OVER)


@pytest.mark.parametrize(
    ("celcom", "africastalking", "route"),
    [
        (Figures(10, 8), Figures(10, 3), "africastalking"),
        (Figures(10, 3), Figures(10, 8), "celcom"),
        # Without an attempt in the last minute, what it was when it tripped counts.
        (Figures(), Figures(10, 9), "celcom"),
        (Figures(), Figures(), "celcom"),
    ],
)
def test_choose_route_takes_the_least_bad_when_all_rest(
    celcom: Figures, africastalking: Figures, route: str
) -> None:
    circuit = replace(RESTING, error_permille=700)
    down = RouteStanding(circuits={EVERY_NETWORK: circuit})

    choice = choose(replace(down, figures=celcom), replace(down, figures=africastalking))

    assert choice == Choice(route, Reason.LEAST_BAD)


def test_describe_health_names_the_routes_that_the_message_could_take() -> None:
    down = replace(DOWN, figures=Figures(30, 12))
    board = Board({"celcom": down, "africastalking": WELL, "own": TIRED, "of_others": WELL})

    health = describe_health(Routes(board, Wish(dedicated="own")), TRAITS, NOW)

    assert health == {
        "celcom": {"state": "open", "attempts": 30, "errors": 12},
        "africastalking": {"state": "closed", "attempts": 0, "errors": 0},
        "own": {"state": "probing", "attempts": 0, "errors": 0},
    }


def test_state_is_that_of_the_network_when_the_whole_route_is_in_use() -> None:
    celcom = RouteStanding(circuits={"airtel": RESTING})

    assert state_of(celcom, "airtel", NOW) is CircuitState.OPEN
    assert state_of(celcom, "airtel", SOON) is CircuitState.PROBING
    assert state_of(celcom, "safaricom", NOW) is CircuitState.CLOSED
    assert state_of(celcom, None, NOW) is CircuitState.CLOSED
