import phonenumbers
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumberFormat, PhoneNumberType
from phonenumbers.carrier import name_for_number

from semalink.domain.errors import InvalidNumber
from semalink.domain.phone_number import CALLING_CODES, parse

MOBILE_TYPES = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}
KINDS = (
    "mobile",
    "fixed_line",
    "toll_free",
    "premium_rate",
    "shared_cost",
    "voip",
    "general_desc",
)
#: The library's names of the issuers whom we name too.
OUR_NAMES = {
    "Safaricom": "safaricom",
    "Airtel": "airtel",
    "Telkom": "telkom",
    "JTL": "faiba",
    "Finserve": "equitel",
    "Homeland Media": "homeland",
    "NRG Media Limited": "nrg",
    "Infura": "infura",
    "Vodacom": "vodacom",
    "Yas": "yas",
    "Viettel": "halotel",
    "Tanzania Telecom": "ttcl",
    "MTN": "mtn",
    "UTL": "utl",
    "Africell": "africell",
    "Hamilton Telecom": "hamilton",
    "Ethio Telecom": "ethio",
}


def patterns(country: str) -> list[str]:
    metadata = PhoneMetadata.metadata_for_region(country)
    kinds = (getattr(metadata, kind) for kind in KINDS)
    return [kind.national_number_pattern for kind in kinds if kind is not None]


def written_in(country: str) -> st.SearchStrategy[str]:
    by_metadata = st.one_of(
        [st.from_regex(rf"(?a:{pattern})", fullmatch=True) for pattern in patterns(country)]
    )
    near_misses = st.from_regex(r"[1-9][0-9]{6,9}", fullmatch=True)
    return (by_metadata | near_misses).map(lambda digits: f"+{CALLING_CODES[country]}{digits}")


WRITTEN = st.one_of([written_in(country) for country in CALLING_CODES])


def verdict_of_library(written: str) -> tuple[str, str | None] | None:
    try:
        number = phonenumbers.parse(written, "KE")
    except NumberParseException:
        return None
    if phonenumbers.number_type(number) not in MOBILE_TYPES:
        return None
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return e164, phonenumbers.region_code_for_number(number)


def verdict_of_ours(written: str) -> tuple[str, str | None] | None:
    try:
        number = parse(written)
    except InvalidNumber:
        return None
    return number.e164, number.country


@settings(deadline=None)
@given(WRITTEN)
def test_parse_accepts_exactly_what_the_library_calls_mobile(written: str) -> None:
    ours = verdict_of_ours(written)

    assert ours == verdict_of_library(written)


@settings(deadline=None)
@given(st.from_regex(r"\+[1-9][0-9]{5,14}", fullmatch=True))
def test_parse_agrees_with_the_library_when_the_country_is_any(written: str) -> None:
    ours = verdict_of_ours(written)

    assert ours == verdict_of_library(written)


@settings(deadline=None)
@given(WRITTEN, st.sampled_from(["{0}", "00{0}", "000{0}", " {0} ", "+{0}"]))
def test_parse_gives_one_number_when_it_is_written_in_another_way(written: str, form: str) -> None:
    expected = verdict_of_ours(written)

    again = verdict_of_ours(form.format(written.removeprefix("+")))

    assert again == expected or len(written) < len("+254712345678")


@settings(deadline=None)
@given(WRITTEN)
def test_parse_reads_its_own_answer(written: str) -> None:
    expected = verdict_of_ours(written)

    again = verdict_of_ours(expected[0]) if expected else None

    assert again == expected


@settings(deadline=None)
@given(st.text(max_size=30))
def test_parse_answers_or_refuses_when_the_text_is_anything(text: str) -> None:
    verdict = verdict_of_ours(text)

    assert verdict is None or verdict[0].startswith("+")


def test_parse_guesses_the_issuer_that_the_library_names() -> None:
    samples = [
        f"+{calling_code}{first_digits}123456"
        for calling_code in CALLING_CODES.values()
        for first_digits in range(100, 1000)
    ]
    issuers = {
        sample: OUR_NAMES.get(name_for_number(phonenumbers.parse(sample), "en"))
        for sample in samples
        if phonenumbers.number_type(phonenumbers.parse(sample)) == PhoneNumberType.MOBILE
    }

    guesses = {sample: parse(sample).network for sample in issuers}

    # Finserve numbers, which the library folds into Airtel's 076.
    equitel = {f"+254{first_digits}123456": "equitel" for first_digits in (763, 764, 765, 766)}
    assert guesses == issuers | equitel
