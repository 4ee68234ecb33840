"""Amounts of credits on the command line."""

from typing import Any

import rich_click as click

from semalink.domain.money import format_credits, parse_credits


class Credits(click.ParamType[int]):
    """An amount of credits in decimals, kept in micros."""

    name = "credits"

    def __init__(self, *, least_micros: int | None = 1) -> None:
        self._least_micros = least_micros

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the micros of an amount such as "1250.75"."""
        if isinstance(value, int):
            return value
        try:
            amount_micros = parse_credits(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if self._least_micros is not None and amount_micros < self._least_micros:
            self.fail("The amount must be more than nothing.", param, ctx)
        return amount_micros


def credits_or_dash(amount_micros: int | None) -> str | None:
    """Return an amount for people; None where there is none."""
    return None if amount_micros is None else format_credits(amount_micros)
