import asyncio

from semalink_adapters.jetstream.lanes import PriorityGate


async def test_normal_waits_until_the_priority_lane_has_looked() -> None:
    gate = PriorityGate(patience_seconds=60)
    turn = asyncio.ensure_future(gate.normal.wait_for_turn())
    await asyncio.wait([turn], timeout=0)
    assert not turn.done()

    gate.priority.fetched(full=False)

    await asyncio.wait_for(turn, 5)


async def test_normal_waits_again_when_the_priority_lane_is_full() -> None:
    gate = PriorityGate(patience_seconds=60)
    gate.priority.fetched(full=False)
    await gate.normal.wait_for_turn()

    gate.priority.fetched(full=True)
    turn = asyncio.ensure_future(gate.normal.wait_for_turn())
    await asyncio.wait([turn], timeout=0)

    assert not turn.done()
    turn.cancel()


async def test_normal_has_its_turn_after_a_bounded_wait() -> None:
    gate = PriorityGate(patience_seconds=0)

    await asyncio.wait_for(gate.normal.wait_for_turn(), 5)


async def test_priority_never_waits() -> None:
    gate = PriorityGate(patience_seconds=60)
    gate.normal.fetched(full=True)

    await asyncio.wait_for(gate.priority.wait_for_turn(), 5)
