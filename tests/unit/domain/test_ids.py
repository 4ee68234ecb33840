from uuid import UUID

import pytest

from semalink.domain.ids import MESSAGE_PREFIX, format_id, parse_id

VALUE = UUID("019300aa-bbcc-7dde-8eff-001122334455")
TEXT = "msg_019300aabbcc7dde8eff001122334455"


def test_format_id_writes_the_prefix_and_lower_case_digits() -> None:
    text = format_id(MESSAGE_PREFIX, VALUE)

    assert text == TEXT


def test_parse_id_reads_what_format_id_wrote() -> None:
    value = parse_id(MESSAGE_PREFIX, TEXT)

    assert value == VALUE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "msg_",
        TEXT.removeprefix("msg_"),
        TEXT.replace("msg_", "key_"),
        TEXT.upper(),
        "msg_" + TEXT.removeprefix("msg_").upper(),
        TEXT[:-1],
        TEXT + "0",
        "msg_" + str(VALUE),
        "msg_" + "g" * 32,
        "msg_" + "-" * 32,
        "msg_0193_0aabbcc7dde8eff0011223344_5",
        "0000" + TEXT.removeprefix("msg_"),
    ],
)
def test_parse_id_finds_nothing_in_another_text(text: str) -> None:
    value = parse_id(MESSAGE_PREFIX, text)

    assert value is None
