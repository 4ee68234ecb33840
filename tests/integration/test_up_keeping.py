import asyncio
from pathlib import Path

import pytest

from semalink_ops.up.children import Child
from semalink_ops.up.failures import UpFailed
from semalink_ops.up.keeping import Keeper

LIMIT_SECONDS = 20.0


def keeper_of(tmp_path: Path, said: list[str], *arguments: str) -> Keeper:
    child = Child("short-lived", arguments, 1, 0)
    return Keeper(child, environment={}, log_dir=tmp_path, say=said.append, on_start=lambda: None)


async def test_process_that_never_lives_is_given_up_with_the_end_of_its_log(tmp_path: Path) -> None:
    said: list[str] = []
    keeper = keeper_of(tmp_path, said, "no-such-command")
    keeper.start()

    with pytest.raises(UpFailed, match="no-such-command") as given_up:
        await asyncio.wait_for(keeper.wait(), LIMIT_SECONDS)

    assert "ended with status 2 each time" in str(given_up.value)
    assert len(said) == 3
    assert all(str(keeper.log_path) in sentence for sentence in said)


async def test_process_that_was_of_use_is_started_again_for_ever(tmp_path: Path) -> None:
    said: list[str] = []
    died_often = asyncio.Event()

    def say(sentence: str) -> None:
        said.append(sentence)
        if len(said) == 5:
            died_often.set()

    child = Child("short-lived", ("no-such-command",), 1, 0)
    keeper = Keeper(child, environment={}, log_dir=tmp_path, say=say, on_start=lambda: None)
    keeper.was_ready = True
    keeper.start()

    await asyncio.wait_for(died_often.wait(), LIMIT_SECONDS)
    await keeper.stop()

    await asyncio.wait_for(keeper.wait(), LIMIT_SECONDS)
    assert keeper.pid is None


async def test_stop_without_a_start_has_no_effect(tmp_path: Path) -> None:
    keeper = keeper_of(tmp_path, [], "up")

    await keeper.stop()

    assert keeper.pid is None
