"""Numbers as the two wire formats write them."""

import re

_E164 = re.compile(r"\+[1-9]\d{9,14}", re.ASCII)
_KENYA = "+254"

#: Africa's Talking's network code by country: that of the largest network.
_NETWORK_CODES = {
    "+254": "63902",
    "+255": "64004",
    "+256": "64110",
    "+250": "63510",
    "+265": "65010",
}
_NETWORK_CODE_OF_THE_SANDBOX = "99999"


def is_e164(number: str) -> bool:
    """Say whether a number has the form of E.164; not whether anybody holds it."""
    return _E164.fullmatch(number) is not None


def from_celcom(mobile: str) -> str:
    """Turn 07…, 01…, 7…, 254… or any other international form into E.164, without judging it."""
    digits = mobile.strip().removeprefix("+")
    if digits.startswith("0"):
        return _KENYA + digits[1:]
    if len(digits) == len("712345678"):
        return _KENYA + digits
    return "+" + digits


def local_form(number: str) -> str:
    """Write a Kenyan number as people there do, with a 0; any other without its plus sign."""
    if number.startswith(_KENYA):
        return "0" + number.removeprefix(_KENYA)
    return number.removeprefix("+")


def network_code(number: str) -> str:
    """Guess the network as Africa's Talking codes it."""
    return _NETWORK_CODES.get(number[:4], _NETWORK_CODE_OF_THE_SANDBOX)
