"""Several processes, one account: every verb races, and the money is exact."""

import asyncio
import random
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from semalink.application.accounts import TopUp
from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.domain.cause import Cause
from semalink.domain.errors import InsufficientCredits, ReservationNotOpen
from semalink_adapters.postgres.group_commit import GroupCommit

PROCESSES = 4
RESERVATIONS = 120
AMOUNT_MICROS = 10
#: Too few for all, so that some are refused whatever the order.
CREDITS_MICROS = RESERVATIONS * AMOUNT_MICROS // 2


class Resolve(PlainCommand):
    """Reserves, charges, releases or expires one reservation by name."""

    def __init__(self, verb: str, account_id: UUID, reservation_id: UUID) -> None:
        self.verb = verb
        self.account_id = account_id
        self.reservation_id = reservation_id
        self.cause = Cause("worker:race", datetime.now(UTC), "job_race")

    def needs(self, needs: Needs) -> None:
        needs.credit_accounts.add(self.account_id)
        needs.reservations.add(self.reservation_id)

    def decide(self, books: Books) -> int:
        account = books.credit_account(self.account_id)
        if self.verb == "reserve":
            account.reserve(self.reservation_id, AMOUNT_MICROS, self.cause)
        elif self.verb == "charge":
            account.charge(self.reservation_id, self.cause, amount_micros=AMOUNT_MICROS // 2)
        else:
            resolve: Callable[..., Any] = getattr(account, self.verb)
            resolve(self.reservation_id, self.cause)
        return account.version


async def race(database_url: str, account_id: UUID, reservation_ids: list[UUID], seed: int) -> None:
    """Do everything that this process may, in an order of its own."""
    chance = random.Random(seed)
    turns = [
        (verb, reservation_id)
        for reservation_id in reservation_ids
        for verb in ("charge", "charge", "charge", "release", "expire")
    ]
    chance.shuffle(turns)

    async def take(verb: str, reservation_id: UUID) -> None:
        try:
            await ledger.execute(Resolve(verb, account_id, reservation_id))
        except (ReservationNotOpen, InsufficientCredits):
            return

    async with GroupCommit(database_url) as ledger:
        for start in range(0, len(turns), 16):
            await asyncio.gather(*(take(*turn) for turn in turns[start : start + 16]))


async def test_verbs_of_many_processes_race_and_the_money_is_exact(
    database_url: str, ledger: GroupCommit, desk: Any, books: Any, record_property: Any
) -> None:
    seed = random.randrange(2**32)
    record_property("seed", seed)
    account_id = await desk.open_account()
    await ledger.execute(TopUp(account_id, CREDITS_MICROS, uuid7().hex, desk.cause()))
    reservation_ids = [uuid7() for _ in range(RESERVATIONS)]
    for reservation_id in reservation_ids[: RESERVATIONS // 2]:
        await ledger.execute(Resolve("reserve", account_id, reservation_id))

    arguments = [database_url, account_id.hex, ",".join(one.hex for one in reservation_ids)]
    racers = [
        await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__)), *arguments, str(seed + number)
        )
        for number in range(PROCESSES)
    ]
    async with asyncio.timeout(120):
        statuses = [await racer.wait() for racer in racers]

    assert statuses == [0] * PROCESSES, f"seed {seed}"
    books.assert_sound(account_id)
    version, posted, reserved, _ = books.head(account_id)
    charged = books.one(
        "SELECT sum((convert_from(state, 'UTF8')::json ->> 'amount_micros')::bigint)"
        " FROM ledger_entries WHERE originator_id = %s AND topic = 'credit_account.charged.1'",
        account_id,
    )
    assert posted == CREDITS_MICROS - charged
    assert reserved == 0
    assert version == books.one(
        "SELECT count(*) FROM ledger_entries WHERE originator_id = %s", account_id
    )
    ends = books.all(
        "SELECT message_id, count(*) FROM ledger_entries WHERE originator_id = %s"
        " AND (topic IN ('credit_account.released.1', 'credit_account.reservation_expired.1')"
        " OR (convert_from(state, 'UTF8')::json ->> 'remaining_micros') = '0') GROUP BY 1",
        account_id,
    )
    assert len(ends) == RESERVATIONS // 2
    assert {count for _, count in ends} == {1}


if __name__ == "__main__":
    url, account, names, start = sys.argv[1:]
    asyncio.run(race(url, UUID(account), [UUID(one) for one in names.split(",")], int(start)))
