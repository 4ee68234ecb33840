"""What the header of a file names."""

import pytest

from semalink.domain.contact_columns import Columns, read_columns
from semalink.domain.contact_errors import InvalidColumns, NumberColumnMissing


@pytest.mark.parametrize(
    ("header", "wanted", "columns"),
    [
        ("number", None, Columns(",", ("number",), 0)),
        ("name;Phone Number;town", None, Columns(";", ("name", "Phone Number", "town"), 1)),
        ("First Name\tMSISDN", None, Columns("\t", ("First_Name", "MSISDN"), 1)),
        ('"name","mobile",,', None, Columns(",", ("name", "mobile"), 1)),
        ("to,number", None, Columns(",", ("to", "number"), 1)),
        ("simu,anwani yangu", "anwani yangu", Columns(",", ("simu", "anwani yangu"), 1)),
    ],
)
def test_read_columns_finds_the_number_and_the_attributes(
    header: str, wanted: str | None, columns: Columns
) -> None:
    assert read_columns(header, wanted) == columns


@pytest.mark.parametrize(("header", "wanted"), [("name,town", None), ("number", "phone")])
def test_read_columns_refuses_a_header_without_the_number(header: str, wanted: str | None) -> None:
    with pytest.raises(NumberColumnMissing, match=r"\?number_column="):
        read_columns(header, wanted)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("number" + ",a" * 51, "more than 51 columns"),
        ("number" + "," * 1_000_000, "more than 51 columns"),
        ('number,"a"b', "wrongly quoted"),
        ("number,name,name", 'have the name "name"'),
        ("number,1st", "Column 2 has a name"),
        ("number,,town", "Column 2 has a name"),
        ("number," + "a" * 41, "Column 2 has a name"),
    ],
)
def test_read_columns_refuses_what_no_attributes_can_be(header: str, why: str) -> None:
    with pytest.raises(InvalidColumns, match=why):
        read_columns(header)
