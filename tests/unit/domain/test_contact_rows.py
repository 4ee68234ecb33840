"""Rows as contacts, and why some are none."""

import pytest

from semalink.domain.contact_columns import ATTRIBUTES_MAX, Columns, read_columns
from semalink.domain.contact_rows import CheckedRows, check_csv, check_ndjson

COLUMNS = read_columns("number,name,town")
NUMBER = "+254712345678"


def csv(content: str, columns: Columns = COLUMNS, first_line: int = 2) -> CheckedRows:
    return check_csv(content.encode(), first_line, columns, "KE")


def ndjson(content: str, number_field: str | None = None) -> CheckedRows:
    return check_ndjson(content.encode(), 1, number_field, "KE")


def attributes(checked: CheckedRows) -> dict[str, dict[str, str]]:
    return {number: contact.attributes for number, contact in checked.contacts.items()}


def codes(checked: CheckedRows) -> list[tuple[int, str]]:
    return [(row.line, row.code) for row in checked.rejected]


def test_check_csv_returns_contacts_in_e164_with_their_attributes() -> None:
    checked = csv('0712345678,Wanjiku, Nakuru \r\n"+255 754 123 456","Juma ""J"", Jr","a\nb"')

    assert attributes(checked) == {
        NUMBER: {"name": "Wanjiku", "town": "Nakuru"},
        "+255754123456": {"name": 'Juma "J", Jr', "town": "a\nb"},
    }
    assert [one.number.network for one in checked.contacts.values()] == ["safaricom", "vodacom"]
    assert checked.rejected == []


def test_check_csv_merges_rows_of_one_number_and_the_later_one_wins() -> None:
    checked = csv("0712345678,Wanjiku,Nakuru\n254712345678,Shiku,\n+254712345678,,Thika")

    assert attributes(checked) == {NUMBER: {"name": "Shiku", "town": "Thika"}}
    assert checked.duplicate_count == 2


def test_check_csv_rejects_rows_with_line_and_code() -> None:
    checked = csv(
        "0712345678,ok,\n"
        "12,short,\n"
        "\n"
        '0712345678,"a\nb"\n'
        "0712345678,a,b,c\n"
        '0712345678,"a"b,c\n'
        f"{'7' * 65},long,\n"
        f"0712345678,{'x' * 501},\n"
        "0712345678,trailing,empty,,\n"
        ",,"
    )

    assert codes(checked) == [
        (3, "invalid_number"),
        (5, "wrong_column_count"),
        (7, "wrong_column_count"),
        (8, "wrong_quoting"),
        (9, "invalid_number"),
        (10, "attribute_too_long"),
        (12, "invalid_number"),
    ]
    assert checked.duplicate_count == 1


def test_check_ndjson_returns_contacts_with_what_their_lines_hold() -> None:
    checked = ndjson(
        '{"number": "0712345678", "name": " Wanjiku ", "age": 31, "vip": true, "late": false}\n'
        '{"Phone": 255754123456, "note": null, "empty": ""}\n'
    )

    assert attributes(checked) == {
        NUMBER: {"name": "Wanjiku", "age": "31", "vip": "true", "late": "false"},
        "+255754123456": {},
    }


def test_check_ndjson_looks_where_it_is_told_to() -> None:
    checked = ndjson('{"number": "1", "a b": "0712345678"}\n{"number": "0712345678"}', "a b")

    assert list(attributes(checked)) == [NUMBER]
    assert codes(checked) == [(2, "number_missing")]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("[1]", "invalid_json"),
        ("{", "invalid_json"),
        ("[" * 30_000, "invalid_json"),
        ('{"name": "x"}', "number_missing"),
        (f'{{"{"n" * 65}": "0712345678"}}', "number_missing"),
        ('{"number": true}', "invalid_number"),
        ('{"number": "0712345678", "a": []}', "nested_value"),
        ('{"number": "0712345678", "a b": "x"}', "invalid_attribute_name"),
        ('{"number": "0712345678", "a": "\\ud800"}', "invalid_text"),
        ('{"number": "0712345678", "a": "\\u0000"}', "invalid_text"),
        (
            '{"number": "0712345678", ' + ", ".join(f'"a{n}": "x"' for n in range(51)) + "}",
            "too_many_attributes",
        ),
    ],
)
def test_check_ndjson_rejects_what_is_no_contact(line: str, code: str) -> None:
    checked = ndjson(f"\n{line}")

    assert codes(checked) == [(2, code)]
    assert not checked.contacts


def test_check_ndjson_takes_letters_of_every_language() -> None:
    checked = ndjson('{"number": "0712345678", "name": "Ñandú"}')

    assert attributes(checked) == {NUMBER: {"name": "Ñandú"}}


def test_check_ndjson_rejects_a_row_after_which_there_were_too_many_attributes() -> None:
    first = ", ".join(f'"a{n}": "x"' for n in range(ATTRIBUTES_MAX))

    checked = ndjson(f'{{"number": "0712345678", {first}}}\n{{"number": "0712345678", "b": "x"}}')

    assert codes(checked) == [(2, "too_many_attributes")]
    assert checked.duplicate_count == 0
