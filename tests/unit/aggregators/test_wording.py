"""Provider words made safe: what is hidden, what counts as an id, what counts as money."""

import pytest

from semalink_adapters.aggregators.wording import Amount, Scalar, parse_amount, reference_of, scrub


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Invalid mobile number", "Invalid mobile number"),
        ("Invalid number 254712345678", "Invalid number *"),
        ("Invalid number 0712/345/678", "Invalid number *"),
        ("Invalid number +254 712 345-678!", "Invalid number *!"),
        ("Current balance 0.00, Required 1", "Current balance 0.00, Required 1"),
        ("two\r\nlines\x00", "two lines"),
        ("x" * 999, "x" * 200),
    ],
)
def test_scrub_hides_long_numbers_and_keeps_one_short_line(words: str, expected: str):
    assert scrub(words) == expected


@pytest.mark.parametrize(
    ("words", "text", "secret"),
    [
        ("bad content: Your code is 4921, keep it", "Your code is 4921, keep it to yourself", "-"),
        ("bad content: 4921", "4921", "-"),
        ("key k3y-0f-c3lcom is wrong", "Habari", "k3y-0f-c3lcom"),
        ("partner 4921 is unknown", "Habari", "4921"),
    ],
)
def test_scrub_hides_text_and_key(words: str, text: str, secret: str):
    scrubbed = scrub(words, text=text, secrets=(secret,))

    assert "4921" not in scrubbed
    assert "k3y" not in scrubbed


def test_scrub_takes_no_part_of_a_number_for_our_own():
    assert scrub("code 149210", secrets=("4921",)) == "code 149210"


def test_scrub_keeps_words_that_any_text_may_share():
    assert scrub("Invalid sender id", text="Your sender is here") == "Invalid sender id"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (8290842, "8290842"),
        (8290842.0, "8290842"),
        (" ATPid_1 ", "ATPid_1"),
        ("None", None),
        ("null", None),
        (None, None),
        ("", None),
        (0, None),
        ("9" * 129, None),
        ("a\nb", None),
    ],
)
def test_reference_of_takes_numbers_and_strings_that_can_be_ids(
    value: Scalar, expected: str | None
):
    assert reference_of(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("KES 0.8000", Amount("KES", 800_000)),
        ("KES 1785.50", Amount("KES", 1_785_500_000)),
        ("KES 1,785.50", Amount("KES", 1_785_500_000)),
        ("UGX35", Amount("UGX", 35_000_000)),
        ("0", Amount("", 0)),
        ("545.00", Amount("", 545_000_000)),
        ("-3.5", Amount("", -3_500_000)),
        ("KES 0.00000199", Amount("KES", 1)),
        ("", None),
        ("KES", None),
        ("kes 1", None),
        ("1.2.3", None),
        ("9" * 13, None),
        ("\u0661", None),
    ],
)
def test_parse_amount_reads_every_form_that_providers_use(text: str, expected: Amount | None):
    assert parse_amount(text) == expected
