"""Mobile numbers in E.164, their country, and a guess at their network."""

import re
from dataclasses import dataclass, field
from functools import cache
from typing import NoReturn

import phonenumbers
from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumberType, ValidationResult

from semalink.domain.errors import InvalidNumber


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A number that can receive a message."""

    #: With the plus sign. Kept out of ``repr``, which ends up in logs.
    e164: str = field(repr=False)
    #: ISO 3166 code of two letters.
    country: str
    #: Who issued the prefix, e.g. "safaricom"; a guess, for numbers can be ported.
    network: str | None


#: The countries that we know by heart, with their calling codes; each writes 0 before a number.
CALLING_CODES = {"KE": "254", "TZ": "255", "UG": "256", "RW": "250", "ET": "251"}
_COUNTRY_BY_CALLING_CODE = {code: country for country, code in CALLING_CODES.items()}

_PREFIXES_BY_NETWORK = {
    "KE": {
        "safaricom": "70 71 72 74 79 757 758 759 768 769 11 14 18",
        "airtel": "73 75 76 78 10 135 136 137 138 139",
        "telkom": "77 761 120",
        "faiba": "747",
        "equitel": "124 763 764 765 766",
        "homeland": "744",
        "nrg": "130",
        "infura": "121",
    },
    "TZ": {
        "vodacom": "72 74 75 76 79",
        "airtel": "60 66 68 69 78",
        "yas": "65 67 70 71 77",
        "halotel": "61 62 63",
        "ttcl": "73",
    },
    "UG": {
        "mtn": "76 77 78 79 724 737",
        "airtel": "70 74 75 730 731 732",
        "utl": "71",
        "africell": "798 799",
        "hamilton": "736 7240",
    },
    "RW": {"mtn": "78 79", "airtel": "72 73"},
    "ET": {"ethio": "8 9", "safaricom": "7"},
}
_NETWORK_BY_PREFIX = {
    f"+{CALLING_CODES[country]}{prefix}": network
    for country, networks in _PREFIXES_BY_NETWORK.items()
    for network, prefixes in networks.items()
    for prefix in prefixes.split()
}
_PREFIX_LENGTHS = tuple(sorted({len(prefix) for prefix in _NETWORK_BY_PREFIX}, reverse=True))

#: What people and spreadsheets put between digits or around a number, invisible marks included.
_SEPARATORS = dict.fromkeys(
    [
        *map(ord, " -.()\t\u00a0\u2007\u202f\ufeff"),
        *range(0x200B, 0x2014),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    ]
)
_WRITTEN = re.compile(r"\+?[0-9]{1,20}")
_SHORT_CODE_DIGITS_MAX = 6
#: A calling code and nine digits; no national number of the known countries is that long.
_INTERNATIONAL_DIGITS_MIN = 12

_MOBILE_TYPES = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})
_WHY_BY_TYPE = {
    PhoneNumberType.FIXED_LINE: "The number is a landline, which receives no messages.",
    PhoneNumberType.TOLL_FREE: "The number is toll-free and receives no messages.",
    PhoneNumberType.PREMIUM_RATE: "The number is premium-rate and cannot be messaged.",
}
_WHY_BY_POSSIBILITY = {
    ValidationResult.TOO_SHORT: "The number has too few digits.",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "The number has too few digits.",
    ValidationResult.TOO_LONG: "The number has too many digits.",
}


def parse(text: str, default_country: str = "KE") -> PhoneNumber:
    """Return the mobile number that a text writes; without a calling code, of the given country."""
    if _mobile_pattern().fullmatch(text):
        return _known(text)
    written = _with_calling_code(_without_separators(text), default_country)
    if _mobile_pattern().fullmatch(written):
        return _known(written)
    return _ask_library(written, default_country)


def _known(e164: str) -> PhoneNumber:
    return PhoneNumber(e164, _COUNTRY_BY_CALLING_CODE[e164[1:4]], network_of_prefix(e164))


def network_of_prefix(e164: str) -> str | None:
    """Return who issued the prefix of a number; None when nobody is known."""
    for length in _PREFIX_LENGTHS:
        network = _NETWORK_BY_PREFIX.get(e164[:length])
        if network is not None:
            return network
    return None


def _without_separators(text: str) -> str:
    written = text.strip().translate(_SEPARATORS)
    if not written:
        raise InvalidNumber("The number is empty.")
    if not _WRITTEN.fullmatch(written):
        raise InvalidNumber("The number holds something other than digits, or too many of them.")
    return written


def _with_calling_code(written: str, default_country: str) -> str:
    """Put E.164 in place of every local habit that says which country is meant."""
    if written.startswith("+"):
        return written
    if written.startswith("00"):
        # Kenya dials 000 for abroad, most of the world 00; no calling code begins with 0.
        return "+" + written.lstrip("0")
    if len(written) <= _SHORT_CODE_DIGITS_MAX:
        raise InvalidNumber("The number is a short code, which cannot be messaged.")
    if len(written) >= _INTERNATIONAL_DIGITS_MIN and written[:3] in _COUNTRY_BY_CALLING_CODE:
        return "+" + written
    calling_code = CALLING_CODES.get(default_country)
    if calling_code is None:
        return written
    return f"+{calling_code}{written.removeprefix('0')}"


def _ask_library(written: str, default_country: str) -> PhoneNumber:
    """Decide on numbers of other countries, and find the reason of every refusal."""
    try:
        number = phonenumbers.parse(written, default_country)
    except NumberParseException as error:
        if error.error_type == NumberParseException.INVALID_COUNTRY_CODE:
            raise InvalidNumber("No country has this calling code.") from None
        raise InvalidNumber("The number has too few or too many digits.") from None
    if phonenumbers.number_type(number) not in _MOBILE_TYPES:
        _refuse(number)
    country = phonenumbers.region_code_for_number(number)
    assert country is not None, "the library types a number by the rules of its region"
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return PhoneNumber(e164, country, network_of_prefix(e164))


def _refuse(number: phonenumbers.PhoneNumber) -> NoReturn:
    kind = phonenumbers.number_type(number)
    if kind == PhoneNumberType.UNKNOWN:
        possibility = phonenumbers.is_possible_number_for_type_with_reason(
            number, PhoneNumberType.MOBILE
        )
        raise InvalidNumber(
            _WHY_BY_POSSIBILITY.get(possibility, "No mobile network uses this number.")
        )
    raise InvalidNumber(_WHY_BY_TYPE.get(kind, "Only mobile numbers can be messaged."))


@cache
def _mobile_pattern() -> re.Pattern[str]:
    """Build one pattern of the known countries' mobile numbers from the library's own metadata."""
    countries = "|".join(map(_country_pattern, CALLING_CODES))
    # Without ASCII the library's \d would let digits of other scripts into E.164.
    return re.compile(rf"\+(?:{countries})", re.ASCII)


def _country_pattern(country: str) -> str:
    metadata = PhoneMetadata.metadata_for_region(country)
    assert metadata is not None, "the library knows every country of East Africa"
    mobile = metadata.mobile
    assert mobile is not None, "every country has mobile numbers"
    lengths = "|".join(rf"[0-9]{{{length}}}" for length in mobile.possible_length)
    # The library tries these kinds before mobile; a number of both would not count as mobile.
    before_mobile = (
        metadata.premium_rate,
        metadata.toll_free,
        metadata.shared_cost,
        metadata.voip,
        metadata.personal_number,
        metadata.pager,
        metadata.uan,
        metadata.voicemail,
    )
    others = "|".join(
        kind.national_number_pattern or "" for kind in before_mobile if kind is not None
    )
    return (
        rf"{CALLING_CODES[country]}(?=(?:{lengths})\Z)(?!(?:{others})\Z)"
        rf"(?:{mobile.national_number_pattern})"
    )
