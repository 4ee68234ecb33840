from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import pytest

from semalink.application.bus import NotReady
from semalink.application.credit_keeping import CreditKeeper, Due
from semalink_adapters.memory_clock import MemoryClock
from semalink_adapters.memory_ledger import MemoryLedger


class MemoryWatch:
    """Looks at what a memory ledger holds."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self.ledger = ledger
        self.low: frozenset[UUID] = frozenset()

    async def due_reservations(self, at: datetime, limit: int, after: Due | None) -> Sequence[Due]:
        due = [
            Due(one.expires_at, reservation_id, owner_id)
            for reservation_id, (owner_id, one) in self.ledger.open_reservations.items()
            if one.expires_at is not None and one.expires_at <= at
        ]
        return [one for one in sorted(due) if after is None or one > after][: min(limit, 1)]

    async def low_accounts(self) -> frozenset[UUID]:
        return self.low


@pytest.fixture
def watch(ledger: MemoryLedger) -> MemoryWatch:
    return MemoryWatch(ledger)


@pytest.fixture
def told() -> list[UUID]:
    return []


@pytest.fixture
def keeper(
    ledger: MemoryLedger, watch: MemoryWatch, clock: MemoryClock, told: list[UUID]
) -> CreditKeeper:
    return CreditKeeper(
        ledger,
        watch,
        now=clock.now,
        new_request_id=lambda: "job_1",
        on_low=told.append,
        on_stuck=told.append,
    )


async def test_expire_due_gives_back_what_nobody_resolved(
    keeper: CreditKeeper,
    ledger: MemoryLedger,
    account_id: UUID,
    accept: Callable[..., object],
    clock: MemoryClock,
) -> None:
    accept()
    accept()

    early = await keeper.expire_due()
    clock.advance(days=8)
    due = await keeper.expire_due()
    again = await keeper.expire_due()

    assert (early, due, again) == (0, 2, 0)
    assert ledger.balance(account_id).reserved_micros == 0


async def test_expire_due_waits_while_the_ledger_is_away(
    keeper: CreditKeeper, ledger: MemoryLedger, accept: Callable[..., object], clock: MemoryClock
) -> None:
    accept()
    clock.advance(days=8)
    ledger.is_available = False

    with pytest.raises(NotReady):
        await keeper.expire_due()


async def test_expire_due_goes_on_past_one_that_cannot_be_given_back(
    *,
    keeper: CreditKeeper,
    ledger: MemoryLedger,
    account_id: UUID,
    accept: Callable[..., object],
    clock: MemoryClock,
    told: list[UUID],
) -> None:
    accept()
    stray_id, nobody_id = UUID(int=0), UUID(int=0xFF)
    [(_, reservation)] = ledger.open_reservations.values()
    ledger.open_reservations[stray_id] = (nobody_id, reservation)
    clock.advance(days=8)

    expired = await keeper.expire_due()

    assert expired == 1
    assert told == [stray_id]
    assert ledger.balance(account_id).reserved_micros == 0


async def test_look_for_low_tells_each_account_once_until_it_recovered(
    keeper: CreditKeeper, watch: MemoryWatch, told: list[UUID]
) -> None:
    first, second = UUID(int=1), UUID(int=2)

    counts = []
    for low in ({first}, {first, second}, {second}, {first, second}):
        watch.low = frozenset(low)
        counts.append(await keeper.look_for_low())

    assert counts == [1, 2, 1, 2]
    assert told == [first, second, first]
