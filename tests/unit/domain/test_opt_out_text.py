import pytest

from semalink.domain.opt_out_text import why_no_opt_out_text, with_opt_out
from semalink.domain.segments import measure

OPT_OUT = "STOP*456*9*5#"


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("Sale today", "Sale today STOP*456*9*5#"),
        ("Sale today\n", "Sale today\nSTOP*456*9*5#"),
        ("Sale today STOP*456*9*5#", "Sale today STOP*456*9*5#"),
        ("Sale today. stop *456*9*5# now", "Sale today. stop *456*9*5# now"),
    ],
)
def test_with_opt_out_adds_what_is_not_there(text: str, whole: str) -> None:
    assert with_opt_out(text, OPT_OUT) == whole


@pytest.mark.parametrize(("length", "segments"), [(146, 1), (147, 2)])
def test_with_opt_out_counts_in_the_segments(length: int, segments: int) -> None:
    whole = with_opt_out("a" * length, OPT_OUT)

    assert measure(whole).segments == segments


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "one line"),
        (" STOP", "one line"),
        ("STOP\nnow", "one line"),
        ("S" * 61, "at most 60"),
        ("STOP ŵ", "GSM-7"),
    ],
)
def test_why_no_opt_out_text_says_what_is_wrong(text: str, word: str) -> None:
    why = why_no_opt_out_text(text)

    assert why is not None
    assert word in why


def test_why_no_opt_out_text_has_nothing_against_a_usual_one() -> None:
    assert why_no_opt_out_text(OPT_OUT) is None
