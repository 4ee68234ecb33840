import pytest

from semalink.domain.errors import InvalidNumber
from semalink.domain.phone_number import PhoneNumber, parse

KENYAN = PhoneNumber("+254712345678", "KE", "safaricom")


@pytest.mark.parametrize(
    "written",
    [
        "+254712345678",
        "254712345678",
        "00254712345678",
        "000254712345678",
        "0712345678",
        "712345678",
        "+2540712345678",
        " 0712 345-678\n",
        "(0712) 345.678",
        "\u202a+254\u00a0712\u2011345\u200b678\u202c",
    ],
)
def test_parse_normalises_every_way_of_writing(written: str) -> None:
    number = parse(written)

    assert number == KENYAN


@pytest.mark.parametrize(
    ("written", "default_country", "expected"),
    [
        ("0110123456", "KE", PhoneNumber("+254110123456", "KE", "safaricom")),
        ("110123456", "KE", PhoneNumber("+254110123456", "KE", "safaricom")),
        ("0754321987", "TZ", PhoneNumber("+255754321987", "TZ", "vodacom")),
        ("255754321987", "KE", PhoneNumber("+255754321987", "TZ", "vodacom")),
        ("0772123456", "UG", PhoneNumber("+256772123456", "UG", "mtn")),
        ("0788123456", "RW", PhoneNumber("+250788123456", "RW", "mtn")),
        ("0911234567", "ET", PhoneNumber("+251911234567", "ET", "ethio")),
        ("+14155552671", "KE", PhoneNumber("+14155552671", "US", None)),
        ("+447400123456", "KE", PhoneNumber("+447400123456", "GB", None)),
        ("07400 123456", "GB", PhoneNumber("+447400123456", "GB", None)),
    ],
)
def test_parse_knows_the_country(written: str, default_country: str, expected: PhoneNumber) -> None:
    number = parse(written, default_country)

    assert number == expected


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "empty"),
        (" - ", "empty"),
        ("Tel: 0712345678", "other than digits"),
        ("0712ABCDEF", "other than digits"),
        ("0712345678 ext 5", "other than digits"),
        ("0712345678/0712345679", "other than digits"),
        (
            "+\u0662\u0665\u0664\u0667\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668",
            "other than digits",
        ),
        ("+25471234567\u0668", "other than digits"),
        ("7" * 21, "too many"),
        ("22141", "short code"),
        ("999", "short code"),
        ("071234567", "too few"),
        ("07123456789", "too many"),
        ("+2547123456789", "too many"),
        ("00", "too few"),
        ("+9990712345678", "calling code"),
        ("+0712345678", "calling code"),
        ("0202012345", "landline"),
        ("254202012345", "landline"),
        ("+254202012345", "landline"),
        ("0800723253", "toll-free"),
        ("0900223456", "premium-rate"),
        ("+255840123456", "Only mobile"),
        ("0190123456", "No mobile network"),
        ("+254190123456", "No mobile network"),
    ],
)
def test_parse_refuses_what_cannot_be_messaged(written: str, why: str) -> None:
    with pytest.raises(InvalidNumber, match=why) as refused:
        parse(written)

    assert written.strip() not in str(refused.value) or not written.strip(" -")
    assert refused.value.__cause__ is None


def test_parse_gives_a_number_that_its_repr_hides() -> None:
    number = parse("0712345678")

    assert "712345678" not in repr(number)


@pytest.mark.parametrize(
    ("e164", "network"),
    [
        ("+254701234567", "safaricom"),
        ("+254741234567", "safaricom"),
        ("+254744123456", "homeland"),
        ("+254747123456", "faiba"),
        ("+254751234567", "airtel"),
        ("+254757123456", "safaricom"),
        ("+254761123456", "telkom"),
        ("+254762123456", "airtel"),
        ("+254763123456", "equitel"),
        ("+254766123456", "equitel"),
        ("+254768123456", "safaricom"),
        ("+254771234567", "telkom"),
        ("+254781234567", "airtel"),
        ("+254101234567", "airtel"),
        ("+254111234567", "safaricom"),
        ("+254120123456", "telkom"),
        ("+254121123456", "infura"),
        ("+254124123456", "equitel"),
        ("+254130123456", "nrg"),
        ("+254138123456", "airtel"),
        ("+254141234567", "safaricom"),
        ("+255681234567", "airtel"),
        ("+255731234567", "ttcl"),
        ("+255621234567", "halotel"),
        ("+255711234567", "yas"),
        ("+256701234567", "airtel"),
        ("+256737123456", "mtn"),
        ("+256726123456", None),
        ("+256798123456", "africell"),
        ("+250731234567", "airtel"),
        ("+250771234567", None),
        ("+251701234567", "safaricom"),
    ],
)
def test_parse_guesses_the_network_by_the_longest_prefix(e164: str, network: str | None) -> None:
    number = parse(e164)

    assert number.network == network
