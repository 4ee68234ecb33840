from itertools import pairwise
from operator import mul

from hypothesis import example, given, settings
from hypothesis import strategies as st

from semalink.domain.segments import Encoding, measure, split


def runs_of(alphabet: str) -> st.SearchStrategy[str]:
    """Long texts from few choices, so that the edges of segments are met in every way."""
    run = st.builds(mul, st.sampled_from(alphabet), st.integers(min_value=1, max_value=160))
    return st.lists(run, max_size=5).map("".join)


TEXTS = st.one_of(
    runs_of("aZ@\n€[^"),
    runs_of("aĩ😀€"),
    st.text(max_size=200),
)
CAPACITIES = {Encoding.GSM_7: (160, 153), Encoding.UCS_2: (70, 67)}


def units(text: str, encoding: Encoding) -> int:
    if encoding is Encoding.GSM_7:
        return sum(2 if char in "\f^{}\\[~]|€" else 1 for char in text)
    return len(text.encode("utf-16-le")) // 2


@settings(deadline=None)
@given(TEXTS)
@example("a" * 152 + "€" + "a" * 152)
@example("😀" * 67)
def test_split_fills_segments_within_capacity_and_loses_nothing(text: str) -> None:
    measured = measure(text)
    single, part = CAPACITIES[measured.encoding]

    parts = split(text)

    assert "".join(parts) == text
    assert len(parts) == measured.segments
    assert measured.units == units(text, measured.encoding)
    assert len(parts) == 1 or measured.units > single
    assert all(units(each, measured.encoding) <= (part if parts[1:] else single) for each in parts)


@settings(deadline=None)
@given(TEXTS)
def test_split_is_greedy_and_never_cuts_a_character(text: str) -> None:
    encoding = measure(text).encoding
    _, capacity = CAPACITIES[encoding]

    parts = split(text)

    # Whole characters on both sides, and no room for the next one: nothing was cut or wasted.
    for each, following in pairwise(parts):
        assert units(each, encoding) + units(following[0], encoding) > capacity


@settings(deadline=None)
@given(TEXTS)
def test_measure_is_never_below_the_naive_count(text: str) -> None:
    measured = measure(text)
    single, part = CAPACITIES[measured.encoding]

    naive = 1 if measured.units <= single else -(-measured.units // part)

    assert measured.segments >= naive


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_measure_never_shrinks_when_text_is_appended(text: str, appended: str) -> None:
    before = measure(text)

    after = measure(text + appended)

    assert after.segments >= before.segments


@settings(deadline=None)
@given(st.text(max_size=60))
def test_measure_finds_forcing_characters_exactly_when_the_text_is_ucs_2(text: str) -> None:
    measured = measure(text)

    forcing = measured.forcing_characters

    assert bool(forcing) is (measured.encoding is Encoding.UCS_2)
    assert all(text[at] == each.character for each in forcing for at in each.positions)
    assert measure(
        "".join(c for c in text if c not in {each.character for each in forcing})
    ).encoding is (Encoding.GSM_7)
