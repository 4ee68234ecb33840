"""Credits in decimal for people, micros of a credit for everything else."""

import re

#: One credit in micros; every amount in code, SQL and JSON is an integer of micros.
MICROS_PER_CREDIT = 1_000_000

_DECIMALS_MAX = 6
_DECIMALS_SHOWN = 2
#: Twelve whole digits keep every amount, and the sum of millions of them, inside a BIGINT.
_CREDITS = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]+))?", re.ASCII)


def parse_credits(text: str) -> int:
    """Return the exact micros of a decimal such as "0.80"; what is not exact is a ValueError."""
    match = _CREDITS.fullmatch(text)
    if match is None:
        raise ValueError('Write an amount of credits in plain decimals, as "1250.75".')
    sign, whole, decimals = match.group(1), match.group(2), match.group(3) or ""
    if len(decimals) > _DECIMALS_MAX:
        raise ValueError(f"An amount of credits has at most {_DECIMALS_MAX} decimals.")
    micros = int(whole) * MICROS_PER_CREDIT + int(decimals.ljust(_DECIMALS_MAX, "0"))
    return -micros if sign else micros


def format_credits(amount_micros: int) -> str:
    """Return the exact decimal of an amount, with two decimals or as many as it needs."""
    whole, rest = divmod(abs(amount_micros), MICROS_PER_CREDIT)
    decimals = f"{rest:06}".rstrip("0").ljust(_DECIMALS_SHOWN, "0")
    return f"{'-' if amount_micros < 0 else ''}{whole}.{decimals}"


def whole_credits_rounded_down(amount_micros: int) -> int:
    """Return whole credits, towards minus infinity: never more than there is."""
    return amount_micros // MICROS_PER_CREDIT


def whole_credits_rounded_up(amount_micros: int) -> int:
    """Return whole credits, towards plus infinity: never less than is needed."""
    return -(-amount_micros // MICROS_PER_CREDIT)
