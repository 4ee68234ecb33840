"""Which dead letters a command is about: the options, and the ages among them."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import rich_click as click
from psycopg_pool import AsyncConnectionPool

from semalink.application.dead_letter_reading import DeadLetterContents
from semalink.domain.dead_letter import DEAD_LETTER_PREFIX
from semalink.domain.ids import parse_id
from semalink_adapters.postgres.dead_letters import PostgresDeadLetters
from semalink_ops.cli import exit_codes
from semalink_ops.cli.failures import fail

F = TypeVar("F", bound=Callable[..., Any])

QUEUE_NAMES = (
    "sms.priority",
    "sms.normal",
    "sms.bulk",
    "sms.content",
    "dlr.inbound",
    "contacts.validate",
    "webhooks.outbound",
)
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_AGE = re.compile(r"([0-9]{1,6})([smhd])")


class Age(click.ParamType[int]):
    """A span of time such as 15m, kept in seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds of a span such as "15m"."""
        if isinstance(value, int):
            return value
        found = _AGE.fullmatch(str(value))
        if found is None:
            self.fail("Write a number and s, m, h or d, such as 15m.", param, ctx)
        return int(found[1]) * _UNIT_SECONDS[found[2]]


def filter_options(command: F) -> F:
    """Add the options that say which dead letters are meant."""
    for option in (
        click.option("--newer-than", type=Age(), help="Given up within so long, such as 2h."),
        click.option("--older-than", type=Age(), help="Given up so long ago, such as 15m."),
        click.option("--error-type", help="Of this type of error, such as PoisonMessage."),
        click.option("--queue", type=click.Choice(QUEUE_NAMES), help="Of this queue."),
    ):
        command = option(command)
    return command


def bounds(
    now: datetime, older_than: int | None, newer_than: int | None
) -> tuple[datetime | None, datetime | None]:
    """Return before when and from when letters were given up."""
    return (
        None if older_than is None else now - timedelta(seconds=older_than),
        None if newer_than is None else now - timedelta(seconds=newer_than),
    )


async def find(pool: AsyncConnectionPool[Any], text: str) -> tuple[UUID, DeadLetterContents]:
    """Return a dead letter that exists."""
    letter_id = parse_id(DEAD_LETTER_PREFIX, text)
    found = None if letter_id is None else await PostgresDeadLetters(pool).contents(letter_id)
    if letter_id is None or found is None:
        fail(
            f"There is no dead letter {text}. `semalink dlq list` shows all.",
            exit_codes.NOT_FOUND,
        )
    return letter_id, found
