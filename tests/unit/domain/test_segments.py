import pytest

from semalink.domain.segments import Encoding, ForcingCharacter, Measure, measure, split

BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
OPT_OUT = " STOP*456*9*5#"


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("€" * 152, 2),
        ("€" * 153, 3),
        ("a" * 152 + "€" + "a" * 152, 3),
        ("ĩ" * 70, 1),
        ("ĩ" * 71, 2),
        ("ĩ" * 134, 2),
        ("ĩ" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("😀" * 66, 2),
        ("😀" * 67, 3),
        ("\u2019" + "a" * 69, 1),
        ("\u2019" + "a" * 70, 2),
        ("a" * 146 + OPT_OUT, 1),
        ("a" * 147 + OPT_OUT, 2),
        ("", 1),
    ],
)
def test_measure_counts_segments(text: str, segments: int) -> None:
    measured = measure(text)

    assert measured.segments == segments
    assert len(split(text)) == segments


@pytest.mark.parametrize(
    ("text", "encoding", "units"),
    [
        ("", Encoding.GSM_7, 0),
        (BASIC, Encoding.GSM_7, 127),
        ("\f^{}\\[~]|€", Encoding.GSM_7, 20),
        ("Habari ya asubuhi", Encoding.GSM_7, 17),
        ("Ç", Encoding.GSM_7, 1),
        ("ç", Encoding.UCS_2, 1),
        ("`", Encoding.UCS_2, 1),
        ("\t", Encoding.UCS_2, 1),
        ("\x1b", Encoding.UCS_2, 1),
        ("ሰላም", Encoding.UCS_2, 3),
        ("Sawa 😀", Encoding.UCS_2, 7),
        ("ŋ€", Encoding.UCS_2, 2),
    ],
)
def test_measure_finds_the_encoding_and_the_units(
    text: str, encoding: Encoding, units: int
) -> None:
    measured = measure(text)

    assert (measured.encoding, measured.units) == (encoding, units)


def test_measure_names_each_forcing_character_with_its_positions() -> None:
    text = "\u2018Karibu\u2019 sana 😀 €5 \u2019"

    forcing = measure(text).forcing_characters

    assert forcing == (
        ForcingCharacter("\u2018", (0,)),
        ForcingCharacter("\u2019", (7, 19)),
        ForcingCharacter("😀", (14,)),
    )
    assert measure("Bei ni €5 [leo]").forcing_characters == ()


def test_measure_shows_no_text_in_its_repr() -> None:
    measured = measure("siri yangu")

    assert "siri" not in repr(measured)
    assert measured == Measure(Encoding.GSM_7, 10, 1, "something else")


def test_split_keeps_an_escape_pair_together() -> None:
    text = "a" * 152 + "€" + "b" * 10

    parts = split(text)

    assert parts == ("a" * 152, "€" + "b" * 10)


def test_split_keeps_a_surrogate_pair_together() -> None:
    text = "ĩ" * 66 + "😀" + "b" * 10

    parts = split(text)

    assert parts == ("ĩ" * 66, "😀" + "b" * 10)


def test_encoding_is_written_as_people_write_it() -> None:
    written = [str(encoding) for encoding in Encoding]

    assert written == ["GSM-7", "UCS-2"]
