import pytest

from semalink.domain.lookalikes import Replacement, replace_lookalikes, unified
from semalink.domain.segments import Encoding, measure


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\u2018Karibu\u2019 \u201cMama\u201d", "'Karibu' \"Mama\""),
        ("8\u201318 \u2014 soko", "8-18 - soko"),
        ("KES\u00a0500\u2026", "KES 500..."),
        ("\uff33\uff21\uff2c\uff25\uff01", "SALE!"),
        ("\u0421\u0410SH", "CASH"),
        ("\u0391\u039f\u03a1", "AOP"),
        ("soft\u00adhyphen\u200b", "softhyphen"),
        ("\U0001d412ale", "Sale"),
        ("it`s", "it's"),
        ("ma\ufb01sh", "mafish"),
    ],
)
def test_replace_lookalikes_brings_a_text_into_gsm_7(text: str, plain: str) -> None:
    replaced = replace_lookalikes(text, measure(text))

    assert replaced is not None
    assert replaced.text == plain
    assert replaced.measure == measure(plain)
    assert replaced.measure.encoding is Encoding.GSM_7


def test_replace_lookalikes_says_what_it_replaced_and_saved() -> None:
    text = "\u201c" + "a" * 69 + "\u201c"

    replaced = replace_lookalikes(text, measure(text))

    assert replaced is not None
    assert replaced.replacements == (Replacement("\u201c", '"', (0, 70)),)
    assert replaced.saved_segments == 1


@pytest.mark.parametrize(
    "text",
    [
        "plain text",
        "Tŵr \u2019House\u2019",
        "Мама",
        "\u2026" * 60,
    ],
    ids=["in_gsm_7_already", "another_letter_stays", "other_script", "it_would_take_more"],
)
def test_replace_lookalikes_leaves_a_text_that_would_not_gain(text: str) -> None:
    replaced = replace_lookalikes(text, measure(text))

    assert replaced is None


def test_unified_shows_what_a_text_looks_like() -> None:
    shown = unified("s\u0435nd y\u043eur p\u0456n")

    assert shown == "send your pin"
