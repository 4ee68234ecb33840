from datetime import UTC, datetime

from semalink.application.webhook_lines import Line, Share

AT = datetime(2026, 11, 25, 9, tzinfo=UTC)


def begun(share: Share, count: int) -> Line[int]:
    line = Line[int](share)
    for _ in range(count):
        line.begin(AT)
    return line


def test_share_leaves_half_to_endpoints_with_little_under_way() -> None:
    share = Share(8)
    wide, narrow = begun(share, 4), begun(share, 0)

    places = share.has_place_for(wide), share.has_place_for(narrow)

    assert places == (False, True)


def test_share_lets_narrow_ones_go_first_and_each_in_turn() -> None:
    share = Share(20)
    wide, narrow, other = begun(share, 4), begun(share, 1), begun(share, 1)
    for line in (wide, narrow, other, narrow):
        share.hold(line)

    taken = [share.pop_next() for _ in range(4)]

    assert taken == [other, narrow, wide, None]


def test_share_holds_all_while_it_is_full() -> None:
    share = Share(2)
    line = begun(share, 2)
    share.hold(line)

    assert share.pop_next() is None
    assert not share.is_idle
