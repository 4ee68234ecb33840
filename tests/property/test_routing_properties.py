"""Whatever the health and whatever operators said, a route is chosen by the same few rules."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from semalink.domain.draft import Lane
from semalink.domain.route_health import Figures
from semalink.domain.routing import (
    Board,
    Circuit,
    Detour,
    Reason,
    RouteMode,
    Routes,
    RouteStanding,
    Traits,
    Wish,
    choose_route,
)

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
SHARED = ("celcom", "africastalking", "third")
OWN = ("celcom_acme", "celcom_other")
NETWORKS = ("", "safaricom", "airtel")

moments = st.integers(-120, 120).map(lambda seconds: NOW + timedelta(seconds=seconds))
circuits = st.builds(
    Circuit, since=moments, probe_at=moments, probe_until=st.none() | moments,
    error_permille=st.integers(0, 1000),
)  # fmt: skip
figures = st.integers(0, 500).flatmap(
    lambda attempts: st.builds(Figures, st.just(attempts), st.integers(0, attempts))
)
standings = st.builds(
    RouteStanding,
    mode=st.sampled_from(RouteMode),
    mode_until=st.none() | moments,
    circuits=st.dictionaries(st.sampled_from(NETWORKS), circuits, max_size=2),
    figures=figures,
)
routes_known = st.sampled_from((*SHARED, *OWN))
detours = st.builds(Detour, routes_known, st.none() | moments)
boards = st.builds(
    Board,
    standings=st.fixed_dictionaries(dict.fromkeys((*SHARED, *OWN), standings)),
    order=st.permutations(SHARED),
    senders=st.dictionaries(st.sampled_from(("SEMA", "OTHER")), detours),
)
wishes = st.builds(
    Wish,
    override=st.none() | detours,
    dedicated=st.none() | st.sampled_from(OWN),
    preferred=st.none() | st.sampled_from(SHARED),
)
traits = st.builds(
    Traits,
    sender=st.just("SEMA"),
    lane=st.sampled_from(Lane),
    network=st.none() | st.sampled_from(NETWORKS[1:]),
    tried=st.frozensets(routes_known, max_size=3),
)


def may_carry(board: Board, route: str, asked: Traits) -> bool:
    return board.standings[route].mode_at(NOW) is not RouteMode.DISABLE and route not in asked.tried


@given(boards, wishes, traits, st.booleans())
def test_choose_route_never_takes_one_that_refused_or_is_switched_off(
    board: Board,
    wish: Wish,
    asked: Traits,
    may_probe: bool,  # noqa: FBT001 - drawn
) -> None:
    choice = choose_route(Routes(board, wish), asked, NOW, may_probe=may_probe)

    assert choice is None or may_carry(board, choice.route, asked)
    assert choice is None or may_probe or choice.probes is None


@given(boards, wishes, traits)
def test_choose_route_finds_one_whenever_a_shared_one_is_left(
    board: Board, wish: Wish, asked: Traits
) -> None:
    choice = choose_route(Routes(board, wish), asked, NOW)

    assert choice is not None or not any(may_carry(board, route, asked) for route in SHARED)


@given(boards, wishes, traits)
def test_choose_route_gives_an_own_route_to_nobody_else(
    board: Board, wish: Wish, asked: Traits
) -> None:
    choice = choose_route(Routes(board, wish), asked, NOW)

    assert choice is None or choice.route in SHARED or choice.route == wish.dedicated


@given(boards, wishes, traits)
def test_choose_route_honours_a_dedicated_route_that_does_well(
    board: Board, wish: Wish, asked: Traits
) -> None:
    choice = choose_route(Routes(board, wish), asked, NOW)

    own = wish.dedicated
    if own is None or not may_carry(board, own, asked) or board.standings[own].circuits:
        return
    assert choice is not None
    overridden = choice.reason in {
        Reason.OVERRIDE_SENDER, Reason.OVERRIDE_ACCOUNT, Reason.OVERRIDE_ROUTE, Reason.PROBE,
    }  # fmt: skip
    assert choice.route == own or overridden


@given(boards, wishes, traits)
def test_choose_route_obeys_the_override_of_the_sender(
    board: Board, wish: Wish, asked: Traits
) -> None:
    choice = choose_route(Routes(board, wish), asked, NOW)

    detour = board.senders.get("SEMA")
    route = detour.route_at(NOW) if detour else None
    is_open_to_it = route in SHARED or route == wish.dedicated
    if route is not None and is_open_to_it and may_carry(board, route, asked):
        assert choice is not None
        assert (choice.route, choice.reason) == (route, Reason.OVERRIDE_SENDER)


@given(boards, wishes, traits)
def test_choose_route_is_the_same_for_every_worker(board: Board, wish: Wish, asked: Traits) -> None:
    shuffled = Board(dict(reversed(board.standings.items())), board.order, board.senders)

    assert choose_route(Routes(board, wish), asked, NOW) == choose_route(
        Routes(shuffled, wish), asked, NOW
    )


@given(boards, wishes, traits)
def test_choose_route_takes_one_out_of_use_only_where_none_in_use_is_left(
    board: Board, wish: Wish, asked: Traits
) -> None:
    choice = choose_route(Routes(board, wish), asked, NOW)

    if choice is not None and choice.reason is Reason.LEAST_BAD:
        left = [route for route in SHARED if may_carry(board, route, asked)]
        assert all(board.standings[route].open_circuit(asked.network) for route in left)
