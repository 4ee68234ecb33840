import pytest

from semalink.domain.money import (
    format_credits,
    parse_credits,
    whole_credits_rounded_down,
    whole_credits_rounded_up,
)


@pytest.mark.parametrize(
    ("text", "amount_micros"),
    [
        ("0", 0),
        ("1", 1_000_000),
        ("0.80", 800_000),
        ("0.0075", 7_500),
        ("0.000001", 1),
        ("1250.75", 1_250_750_000),
        ("-3.5", -3_500_000),
        ("999999999999.999999", 999_999_999_999_999_999),
    ],
)
def test_parse_credits_is_exact(text: str, amount_micros: int) -> None:
    parsed = parse_credits(text)

    assert parsed == amount_micros


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "+1",
        "1.",
        ".5",
        "1,5",
        "1e3",
        "NaN",
        "Infinity",
        "1_000",
        "\u0661",
        "1\n",
        "1" * 13,
    ],
)
def test_parse_credits_refuses_what_is_not_a_plain_decimal(text: str) -> None:
    with pytest.raises(ValueError, match="plain decimals"):
        parse_credits(text)


def test_parse_credits_refuses_a_seventh_decimal() -> None:
    with pytest.raises(ValueError, match="at most 6 decimals"):
        parse_credits("0.0000010")


@pytest.mark.parametrize(
    ("amount_micros", "text"),
    [(0, "0.00"), (800_000, "0.80"), (7_500, "0.0075"), (-1, "-0.000001"), (12_000_000, "12.00")],
)
def test_format_credits_shows_two_decimals_or_as_many_as_needed(
    amount_micros: int, text: str
) -> None:
    formatted = format_credits(amount_micros)

    assert formatted == text


@pytest.mark.parametrize(
    ("amount_micros", "down", "up"),
    [(0, 0, 0), (1, 0, 1), (1_000_000, 1, 1), (1_000_001, 1, 2), (-1, -1, 0)],
)
def test_whole_credits_round_as_their_names_say(amount_micros: int, down: int, up: int) -> None:
    rounded = whole_credits_rounded_down(amount_micros), whole_credits_rounded_up(amount_micros)

    assert rounded == (down, up)
