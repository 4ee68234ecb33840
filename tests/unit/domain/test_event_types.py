import pytest

from semalink.domain.event_types import EVENT_TYPES, TEST_EVENT, is_known, matches


@pytest.mark.parametrize(
    ("pattern", "name", "is_chosen"),
    [
        ("*", "credit.charged", True),
        ("message.*", "message.delivered", True),
        ("message.*", "messages.delivered", False),
        ("message.delivered", "message.delivered", True),
        ("message.delivered", "message.delivered_twice", False),
    ],
)
def test_pattern_chooses_events_by_name(pattern: str, name: str, is_chosen: bool) -> None:  # noqa: FBT001 - a table
    assert matches(pattern, name) is is_chosen


@pytest.mark.parametrize("pattern", ["*", "message.*", *EVENT_TYPES])
def test_pattern_is_known_when_it_chooses_something(pattern: str) -> None:
    assert is_known(pattern)


@pytest.mark.parametrize(
    "pattern", ["", "message", "mess*", "message.", "campaigns.*", "message.gone", TEST_EVENT, "**"]
)
def test_pattern_is_unknown_when_it_chooses_nothing(pattern: str) -> None:
    assert not is_known(pattern)
