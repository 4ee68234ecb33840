import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
import pytest
from tests.chaos.customers import Client, Reception, open_reception
from tests.chaos.platform import Platform
from tests.chaos.waiting import Condition, until

from semalink_ops.sandbox.magic_numbers import ACT_BY_ENDING

#: A country for each, so that no handset is that of two messages.
BEGINNINGS = {"celcom": "+254700000", "africastalking": "+256770000"}
CREDIT_MICROS = 1_000_000_000
#: Longer than the ten seconds after which an aggregator that does not answer is given up.
WAIT_SECONDS = 20.0

CHARGED = ("credit.reserved", "credit.charged")
REFUNDED = (*CHARGED, "credit.refunded")
RELEASED = ("credit.reserved", "credit.released")

# What a minute, or the whole time that a report is waited for, does to the work list.
AGE = """
WITH aged AS (
    UPDATE report_shelf SET shelved_at = shelved_at - interval '61 seconds'
    WHERE recipient = %(to)s RETURNING 1
)
UPDATE pending_submissions SET queued_at = queued_at - interval '61 seconds'
WHERE message_id = %(id)s AND EXISTS (SELECT FROM aged)"""
COME_DUE = """
UPDATE pending_submissions SET due_at = now()
WHERE message_id = %(id)s AND state = 'unknown'"""


@dataclass(frozen=True)
class End:
    """Where a message stands, what its credits went through, and who had it last."""

    status: str
    credit_steps: tuple[str, ...]
    aggregator: str


DELIVERED = ("delivered", CHARGED)
FAILED = ("failed", CHARGED)
REJECTED = ("rejected", REFUNDED)
UNSENT = ("rejected", RELEASED)
#: An aggregator has it, and no report says that it ended.
UNREPORTED = ("submitted", CHARGED)
#: Refused by every route for now, and offered to them again later.
PUT_OFF = ("accepted", ("credit.reserved",))
UNKNOWN = ("unknown", RELEASED)

#: Through Celcom, and through Africa's Talking.
ENDS = {
    "101": (DELIVERED, DELIVERED),
    "102": (FAILED, FAILED),
    "103": (REJECTED, UNSENT),
    "104": (REJECTED, REJECTED),
    "105": (("expired", CHARGED), REJECTED),
    "106": (UNREPORTED, UNREPORTED),
    "107": (DELIVERED, DELIVERED),
    "108": (DELIVERED, DELIVERED),
    "109": (DELIVERED, DELIVERED),
    "110": (UNKNOWN, DELIVERED),
    "111": (UNREPORTED, UNREPORTED),
    "112": (UNSENT, UNSENT),
    "113": (PUT_OFF, PUT_OFF),
    "114": (UNSENT, UNSENT),
    "115": (FAILED, FAILED),
    "116": (DELIVERED, DELIVERED),
    "117": (UNREPORTED, UNREPORTED),
    "118": (UNREPORTED, UNREPORTED),
    "119": (DELIVERED, DELIVERED),
    "120": (PUT_OFF, PUT_OFF),
    "121": (UNKNOWN, DELIVERED),
}
LOST_ANSWERS = ("110", "121")
#: Those that the other aggregator is asked about too, which has the last word.
FAILS_OVER = {
    "celcom": ("112", "113", "114", "119", "120"),
    "africastalking": ("113", "114", "120"),
}


@dataclass(frozen=True)
class Watch:
    """Follows one message from its sending to its end."""

    client: Client
    database_url: str
    ending: str
    first: str

    @property
    def to(self) -> str:
        return BEGINNINGS[self.first] + self.ending

    @property
    def expected(self) -> End:
        last = self.first
        if self.ending in FAILS_OVER[self.first]:
            [last] = BEGINNINGS.keys() - {self.first}
        return End(*ENDS[self.ending][self.first == "africastalking"], last)

    async def follow(self) -> str:
        """Send, wait for the expected end and give up in time; what it came to is read later."""
        act = ACT_BY_ENDING[self.ending]
        message_id = await self.client.send(self.to, f"{act} through {self.first}")
        with suppress(Condition):
            await until(
                lambda: self.has_ended(message_id), self.ending, within_seconds=WAIT_SECONDS
            )
        return message_id

    async def has_ended(self, message_id: str) -> bool:
        if self.ending in LOST_ANSWERS:
            await self.let_time_pass(UUID(message_id.removeprefix("msg_")))
        return await self.seen(message_id) == self.expected

    async def let_time_pass(self, message_id: UUID) -> None:
        statement = COME_DUE if self.expected.status == "unknown" else AGE
        async with await psycopg.AsyncConnection.connect(self.database_url) as connection:
            await connection.execute(statement, {"id": message_id, "to": self.to})

    async def seen(self, message_id: str) -> End:
        message = await self.client.message(message_id)
        steps = await self.client.steps(message_id)
        credit_steps = tuple(step for step in steps if step.startswith("credit."))
        route = message["route"] or {}
        return End(message["status"], credit_steps, route.get("aggregator", ""))


@pytest.fixture(scope="module")
def seen(running: Any) -> Mapping[tuple[str, str], tuple[End, End]]:
    """What was expected and what was seen, for every number; all are sent at once."""
    return asyncio.run(send_all(Platform(running.process, running.data_dir)))


async def send_all(platform: Platform) -> Mapping[tuple[str, str], tuple[End, End]]:
    async with open_reception(platform) as reception:
        watches = [watch for first in BEGINNINGS for watch in await watches_of(reception, first)]
        ids = await asyncio.gather(*(watch.follow() for watch in watches))
        # Read at the very end: what comes after an end must not change it.
        return {
            (watch.ending, watch.first): (watch.expected, await watch.seen(message_id))
            for watch, message_id in zip(watches, ids, strict=True)
        }


async def watches_of(reception: Reception, first: str) -> list[Watch]:
    customer = await reception.open(credit_micros=CREDIT_MICROS, first_aggregator=first)
    database_url = reception.platform.quickstart["database_url"]
    return [Watch(customer.live, database_url, ending, first) for ending in ENDS]


def test_every_magic_number_has_its_end() -> None:
    assert ENDS.keys() == ACT_BY_ENDING.keys()


@pytest.mark.parametrize("first", BEGINNINGS)
@pytest.mark.parametrize("ending", ENDS)
def test_message_to_a_magic_number_ends_as_it_says(
    seen: Mapping[tuple[str, str], tuple[End, End]], ending: str, first: str
) -> None:
    expected, found = seen[ending, first]

    assert found == expected
