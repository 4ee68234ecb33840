from dataclasses import dataclass
from typing import Any

import pytest

from semalink_adapters.postgres.command_queue import BATCH_MAX, BULKY, CommandQueue, Waiting


@dataclass
class Weighing:
    """A command of which only the weight matters here."""

    weight: int


@pytest.fixture
def queue() -> CommandQueue:
    return CommandQueue()


def put(queue: CommandQueue, *weights: int) -> None:
    nobody: Any = None
    for weight in weights:
        command: Any = Weighing(weight)
        queue.put(Waiting(command, nobody))


def take(queue: CommandQueue) -> list[int]:
    return [waiting.command.weight for waiting in queue.take(0.0)]


def test_take_returns_all_small_commands_together(queue: CommandQueue) -> None:
    put(queue, 1, 1, BULKY - 1)

    assert take(queue) == [1, 1, BULKY - 1]
    assert take(queue) == []
    assert (queue.weight, len(queue)) == (0, 0)


def test_take_ends_a_batch_that_is_heavy_enough(queue: CommandQueue) -> None:
    put(queue, *[1] * (BATCH_MAX + 1))

    assert len(take(queue)) == BATCH_MAX
    assert (queue.weight, len(queue)) == (1, 1)


def test_take_lets_small_commands_pass_those_about_many(queue: CommandQueue) -> None:
    put(queue, 100, 100, 1)

    assert take(queue) == [1]


def test_take_gives_one_about_many_its_turn_between_small_ones(queue: CommandQueue) -> None:
    put(queue, 100, 200, *[1] * (2 * BATCH_MAX))

    sums = [sum(take(queue)) for _ in range(4)]

    assert sums == [BATCH_MAX, 100, BATCH_MAX, 200]


def test_take_keeps_the_order_of_those_about_many(queue: CommandQueue) -> None:
    put(queue, 100, 101, 102)

    assert [take(queue) for _ in range(3)] == [[100], [101], [102]]


def test_queue_is_over_when_all_was_taken_after_the_end(queue: CommandQueue) -> None:
    put(queue, 1, 100)
    queue.close()

    standings = [queue.is_over]
    for _ in range(2):
        take(queue)
        standings.append(queue.is_over)

    assert standings == [False, False, True]
    assert queue.take(None) == []
