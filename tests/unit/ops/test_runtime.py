import asyncio

import pytest

from semalink_ops.runtime import IN_SERVICE, background, ends_after_stop, until_stop


async def test_ends_after_stop_is_true_when_the_work_ends_by_itself() -> None:
    done = []

    async def work() -> None:
        done.append(1)

    assert await ends_after_stop(work(), asyncio.Event(), 0)
    assert done == [1]


async def test_ends_after_stop_lets_what_is_in_hand_end() -> None:
    stop, done = asyncio.Event(), []

    async def work() -> None:
        stop.set()
        await asyncio.sleep(0.01)
        done.append(1)

    assert await ends_after_stop(work(), stop, 5)
    assert done == [1]


async def test_ends_after_stop_cuts_off_what_takes_longer() -> None:
    stop, cut_off = asyncio.Event(), []

    async def work() -> None:
        stop.set()
        try:
            await asyncio.Event().wait()
        finally:
            cut_off.append(1)

    assert not await ends_after_stop(work(), stop, 0.01)
    assert cut_off == [1]


async def test_ends_after_stop_raises_what_the_work_raises() -> None:
    async def work() -> None:
        msg = "a bug"
        raise ZeroDivisionError(msg)

    with pytest.raises(ZeroDivisionError):
        await ends_after_stop(work(), asyncio.Event(), 5)


async def test_until_stop_fails_from_the_stop_on() -> None:
    stop = asyncio.Event()

    async def check() -> dict[str, bool]:
        return {"database": True}

    ready = until_stop(check, stop)
    before = await ready()
    stop.set()

    assert before == {"database": True, IN_SERVICE: True}
    assert await ready() == {"database": True, IN_SERVICE: False}


async def test_background_lets_loops_end_by_themselves_after_the_block() -> None:
    ended = asyncio.Event()

    async def loop() -> None:
        await asyncio.sleep(0.01)
        ended.set()

    async with background(loop(), finish_seconds=5):
        pass

    assert ended.is_set()


async def test_background_ends_loops_that_do_not() -> None:
    cut_off = asyncio.Event()

    async def loop() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cut_off.set()

    async with background(loop(), finish_seconds=0.01):
        # Its turn, so that there is something to end.
        await asyncio.sleep(0)

    assert cut_off.is_set()
