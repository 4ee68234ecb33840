"""Reservations with their messages through the group commit, without HTTP."""

import asyncio
import hashlib
import time
from dataclasses import dataclass, replace
from uuid import UUID

from uuid_utils.compat import uuid7

from bench.drafts import draft_of
from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.ledger import Idempotency
from semalink.application.sending import AcceptMessage
from semalink.domain.account import Kind, Tier
from semalink.domain.cause import Cause
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_ops.runtime import utc_now


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run came to."""

    per_second: float
    p50_ms: float
    p99_ms: float


async def open_accounts(ledger: GroupCommit, count: int) -> list[UUID]:
    """Open accounts with more credit than a run can spend."""
    cause = Cause("operator:bench", utc_now(), "req_bench")
    account_ids = [uuid7() for _ in range(count)]
    for start in range(0, count, 500):
        page = account_ids[start : start + 500]
        await asyncio.gather(
            *(
                ledger.execute(OpenAccount(id_, "Bench", Kind.DIRECT, Tier.ENTERPRISE, cause))
                for id_ in page
            )
        )
        await asyncio.gather(
            *(ledger.execute(TopUp(id_, 10**15, f"bench-{id_.hex}", cause)) for id_ in page)
        )
    return account_ids


async def reserve(
    ledger: GroupCommit, account_ids: list[UUID], *, total: int, in_flight: int
) -> Figures:
    """Accept so many messages with so many commands waiting at any time."""
    turns = iter(range(total))
    seconds: list[float] = []

    async def one_after_another() -> None:
        for turn in turns:
            started = time.perf_counter()
            await ledger.execute(accepting(account_ids[turn % len(account_ids)], turn))
            seconds.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(in_flight)))
    elapsed = time.perf_counter() - started
    seconds.sort()
    return Figures(total / elapsed, seconds[total // 2] * 1_000, seconds[int(total * 0.99)] * 1_000)


def accepting(account_id: UUID, turn: int, *, keyed: bool = True) -> AcceptMessage:
    """Return a command that accepts one message, with an idempotency key unless told not to."""
    now = utc_now()
    number = f"+2547{turn % 100_000_000:08d}"
    draft = replace(draft_of(account_id, now), to=number, metadata={})
    key = uuid7().hex
    return AcceptMessage(
        uuid7(),
        account_id,
        draft,
        Cause("key:bench", now, f"req_{key}"),
        Idempotency(account_id, key, hashlib.sha256(key.encode()).digest()) if keyed else None,
    )
